"""The front door's question for sessions whose servers have paths and credentials of their own."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.conftest import ADDRESS, People
from server.test_door import SAFARI, Browser, Mia, S, W, ask, login
from studiolo.contract.models import KeyCreate
from studiolo.engines.base import Front, Handle, Observation, Phase
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine

PREFIX = "/user/mia/lab-1/"


class FrontedEngine(FakeEngine):
    """A fake engine whose servers are asked as a JupyterHub's are. `url`: where its proxy is."""

    def __init__(self) -> None:
        super().__init__()
        self.url = "http://hub.test:8000"
        self.asked: list[Handle] = []

    async def observe(self, handle: Handle) -> Observation:
        seen = await super().observe(handle)
        return Observation(seen.phase, self.url if seen.phase is Phase.READY else None, seen.exit, seen.message)

    async def front(self, handle: Handle) -> Front:
        self.asked.append(handle)
        return Front(PREFIX, {"Authorization": f"token of-{handle['workload_id']}"})


@pytest.fixture
def engine() -> FrontedEngine:
    return FrontedEngine()


@pytest.fixture
async def mia(people: People, services: Services) -> AsyncIterator[Mia]:
    who = await people.add("mia")
    key = (await services.keys.create_key(who, KeyCreate(name="test"))).key
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as client:
        await client.post(W, json={"name": "churn"})
        session = (await client.post(S, json={"workspace": "churn"}, params={"wait": 5})).json()
        yield Browser(people, await login(services, "mia"), services.cookies), key, session


async def test_a_program_is_led_to_the_servers_own_path(mia: Mia, people: People, services: Services) -> None:
    _, key, session = mia
    reply = await ask(people, f"/s/{session['id']}/api/contents/a%20b?type=file", Authorization=f"token {key}")
    assert reply.status_code == 200
    told = {name: value for name, value in reply.headers.items() if name.startswith("x-studiolo-")}
    assert told == {
        "x-studiolo-upstream": "hub.test:8000",
        "x-studiolo-front-host": "hub.test:8000",
        "x-studiolo-front-origin": "http://hub.test:8000",
        "x-studiolo-front-authorization": f"token of-{session['id']}",
        "x-studiolo-front-session": session["id"],
        "x-studiolo-login": (await services.keys.list_keys(await services.authentication.by_key(key)))[0].id,
        "x-studiolo-front-prefix": PREFIX,
        "x-studiolo-front-uri": f"{PREFIX}api/contents/a%20b?type=file",
        "x-studiolo-cookie": "",
    }


async def test_each_request_is_led_to_its_own_path_though_the_answer_is_remembered(
    mia: Mia, people: People, engine: FrontedEngine
) -> None:
    _, key, session = mia
    for path in ("api/status", "api/me", "lab"):
        reply = await ask(people, f"/s/{session['id']}/{path}", Authorization=f"token {key}")
        assert reply.headers["x-studiolo-front-uri"] == f"{PREFIX}{path}"
    assert len(engine.asked) == 1


async def test_a_hub_behind_tls_is_reached_by_its_name(mia: Mia, people: People, engine: FrontedEngine) -> None:
    _, key, _ = mia
    engine.url = "https://hub.test:443"
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as client:
        session = (await client.post(S, json={"workspace": "churn", "name": "two"}, params={"wait": 5})).json()
    told = (await ask(people, f"/s/{session['id']}/api", Authorization=f"token {key}")).headers
    assert told["x-studiolo-upstream"] == "hub.test:443"
    assert told["x-studiolo-front-origin"] == "https://hub.test"
    assert (told["x-studiolo-front-host"], told["x-studiolo-front-tls"]) == ("hub.test", "1")


async def test_a_browser_sees_the_servers_own_paths_at_the_sessions_origin(mia: Mia) -> None:
    browser, _, session = mia
    url = await browser.enter(session["id"])
    moved = await browser.ask(url, Sec_Fetch_Mode="navigate")
    assert (moved.status_code, moved.headers["location"]) == (303, f"{PREFIX}lab")
    origin = url.partition("/s/")[0]
    for path in ("lab", "api/kernels?1", "static/a%2Fb.js"):
        reply = await browser.ask(f"{origin}{PREFIX}{path}")
        assert reply.status_code == 200
        assert "x-studiolo-front-uri" not in reply.headers
        assert reply.headers["x-studiolo-front-authorization"] == f"token of-{session['id']}"


@pytest.mark.parametrize(
    "path",
    ["/hub/home", "/user/leo/lab-1/api", "/user/mia/lab-1/../lab-2/api", "/user/mia/lab-1/%2e%2e/lab-2/api", "/"],
)
async def test_nothing_else_of_the_hub_is_reached(mia: Mia, path: str) -> None:
    browser, _, session = mia
    origin = (await browser.enter(session["id"])).partition("/s/")[0]
    reply = await browser.ask(f"{origin}{path}")
    assert (reply.status_code, reply.json()["code"]) == (404, "route-not-found")
    assert not [name for name in reply.headers if name.startswith("x-studiolo")]


async def test_links_to_the_hubs_own_pages_lead_to_the_session_on_the_platform(mia: Mia) -> None:
    browser, _, session = mia
    origin = (await browser.enter(session["id"])).partition("/s/")[0]
    for path, target in (("/hub/home", f"{ADDRESS}/sessions/{session['id']}"), ("/", PREFIX)):
        reply = await browser.ask(f"{origin}{path}", Sec_Fetch_Mode="navigate")
        assert (reply.status_code, reply.headers["location"]) == (303, target)


async def test_another_person_gets_nothing_of_the_server(mia: Mia, people: People, services: Services) -> None:
    _, key, session = mia
    assert (await ask(people, f"/s/{session['id']}/api", Authorization=f"token {key}")).status_code == 200
    leo = (await services.keys.create_key(await people.add("leo"), KeyCreate(name="test"))).key
    reply = await ask(people, f"/s/{session['id']}/api", Authorization=f"token {leo}")
    assert reply.status_code == 404
    assert "of-" not in str(reply.headers)


async def test_a_foreign_page_opens_no_socket_of_the_server(mia: Mia) -> None:
    browser, _, session = mia
    origin = (await browser.enter(session["id"])).partition("/s/")[0]
    path = f"{origin}{PREFIX}api/kernels/k/channels"
    assert (await browser.ask(path, Sec_WebSocket_Key="k", Origin="http://evil.test")).status_code == 403
    assert (await browser.ask(path, Sec_WebSocket_Key="k", Origin=origin)).status_code == 200


async def test_a_browser_without_origins_for_sessions_is_told_why(mia: Mia, people: People, services: Services) -> None:
    _, _, session = mia
    browser = Browser(people, await login(services, "mia"), services.cookies, SAFARI)
    reply = await browser.get(f"{ADDRESS}/go/{session['id']}", Accept="text/html")
    assert reply.status_code == 409
    assert "servers have addresses of their own" in reply.text


async def test_logins_that_end_are_not_told_to_a_server_that_is_not_ours(services: Services) -> None:
    # It would be shown the launch's secret, and knows nothing of logins.
    asked = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as hub:
        port = hub.sockets[0].getsockname()[1]
        await services.socket_closer._tell("s-0000000000000000", 1, f"http://127.0.0.1:{port}", {"l-1"})
    assert not asked.is_set()
