"""The front door's question and the ways into a session, without a front door."""

import asyncio
import base64
import json
import sqlite3
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from server.conftest import ADDRESS, People
from studiolo.contract.models import KeyCreate
from studiolo.kit.clock import ManualClock
from studiolo.server import door, shortcuts
from studiolo.server.accounts import authentication
from studiolo.server.http.hosts import HostKind, Hosts
from studiolo.server.http.identity import CookieNames, without_ours
from studiolo.server.principal import OPERATOR
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.workspaces import access

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
SAFARI = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"


class Browser:
    """A signed-in browser that follows redirects over hosts, as one would, to the question."""

    def __init__(self, people: People, login: str, cookies: CookieNames, agent: str = CHROME) -> None:
        self._people = people
        self._jars: dict[str, dict[str, str]] = {"localhost:28888": {cookies.login: login}}
        self._agent = agent

    async def get(self, url: str, **headers: str) -> httpx.Response:
        parsed = httpx.URL(url)
        host = parsed.netloc.decode()
        jar = self._jars.setdefault(host, {})
        cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
        sent = {"Host": host, "Cookie": cookie, "User-Agent": self._agent, **headers}
        async with self._people.anonymous(sent) as client:
            reply = await client.get(parsed.raw_path.decode())
        for name, value in reply.cookies.items():
            jar[name] = value
        return reply

    async def enter(self, session_id: str) -> str:
        """Go through the redirects; return the address where the session is served."""
        url = f"{ADDRESS}/go/{session_id}"
        for _ in range(6):
            if "/s/" in url:
                return url
            reply = await self.get(url)
            assert reply.status_code == 303, reply.text
            url = str(httpx.URL(url).join(reply.headers["location"]))
        raise AssertionError(f"redirected in circles: {url}")

    async def ask(self, url: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask the front door's question for this browser."""
        parsed = httpx.URL(url)
        host = parsed.netloc.decode()
        cookie = "; ".join(f"{name}={value}" for name, value in self._jars.get(host, {}).items())
        return await ask(self._people, parsed.raw_path.decode(), method, Host=host, Cookie=cookie, **headers)


async def ask(people: People, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    sent = {"X-Studiolo-Question": "1", "X-Forwarded-Uri": path, "X-Forwarded-Method": method, **headers}
    async with people.anonymous({name.replace("_", "-"): value for name, value in sent.items()}) as client:
        return await client.get("/_door")


Mia = tuple[Browser, str, dict[str, Any]]


@pytest.fixture
async def mia(people: People, services: Services) -> Mia:
    """A signed-in browser, its person's key and a running session."""
    who = await people.add("mia")
    key = (await services.keys.create_key(who, KeyCreate(name="test"))).key
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as client:
        await client.post(W, json={"name": "churn"})
        session = (await client.post(S, json={"workspace": "churn"}, params={"wait": 5})).json()
    browser = Browser(people, await login(services, "mia"), services.cookies)
    return browser, key, session


async def login(services: Services, name: str) -> str:
    link = await services.accounts.create_sign_in_link(OPERATOR, name)
    return await services.accounts.sign_in_link(link.url.partition("link=")[2], "browser")


async def test_a_key_passes_and_the_session_learns_who_asks(mia: Mia, people: People, services: Services) -> None:
    _, key, session = mia
    reply = await ask(people, f"/s/{session['id']}/lab", Authorization=f"token {key}")
    assert reply.status_code == 200
    assert reply.headers["x-studiolo-upstream"]
    assert reply.headers["x-studiolo-secret"] == services.session_secrets.of_launch(session["id"], 1)
    assert json.loads(base64.urlsafe_b64decode(reply.headers["x-studiolo-person"]))["name"] == "mia"
    assert reply.headers["x-studiolo-auth"] == "key"


@pytest.mark.req("S3-09")
async def test_a_browser_enters_a_session_at_its_own_origin(mia: Mia) -> None:
    browser, _, session = mia
    url = await browser.enter(session["id"])
    assert url == f"http://{session['id']}.localhost:28888/s/{session['id']}/lab"
    reply = await browser.ask(url)
    assert (reply.status_code, reply.headers["x-studiolo-auth"]) == (200, "login")
    assert reply.headers["x-studiolo-cookie"] == ""


async def test_safari_and_bare_addresses_use_the_platforms_origin(mia: Mia, people: People, services: Services) -> None:
    _, _, session = mia
    browser = Browser(people, await login(services, "mia"), services.cookies, SAFARI)
    url = await browser.enter(session["id"])
    assert url == f"{ADDRESS}/s/{session['id']}/lab"
    assert (await browser.ask(url)).status_code == 200


async def test_the_platforms_login_alone_opens_no_session(mia: Mia, people: People, services: Services) -> None:
    browser, _, session = mia
    reply = await browser.ask(f"{ADDRESS}/s/{session['id']}/api/contents")
    assert (reply.status_code, reply.json()["code"]) == (401, "not-signed-in")


async def test_a_navigation_without_entry_is_sent_to_the_way_in(mia: Mia) -> None:
    browser, _, session = mia
    url = f"http://{session['id']}.localhost:28888/s/{session['id']}/lab/tree/a%20b.ipynb"
    reply = await browser.ask(url, Sec_Fetch_Mode="navigate")
    assert reply.status_code == 303
    assert reply.headers["location"] == f"{ADDRESS}/go/{session['id']}?next=lab%2Ftree%2Fa%2520b.ipynb"


async def test_a_code_is_good_once_and_for_its_browser_only(mia: Mia, people: People, services: Services) -> None:
    browser, _, session = mia
    begin = await browser.get(f"{ADDRESS}/go/{session['id']}")
    bound = await browser.get(begin.headers["location"])
    enter = (await browser.get(bound.headers["location"])).headers["location"]
    thief = Browser(people, "", services.cookies)
    assert (await thief.get(enter)).status_code == 404
    assert (await browser.get(enter)).status_code == 404


async def test_a_code_expires(mia: Mia, services: Services, clock: ManualClock) -> None:
    browser, _, session = mia
    begin = await browser.get(f"{ADDRESS}/go/{session['id']}")
    bound = await browser.get(begin.headers["location"])
    enter = (await browser.get(bound.headers["location"])).headers["location"]
    clock.advance(services.settings.sessions.entry_lifetime + timedelta(seconds=1))
    assert (await browser.get(enter)).status_code == 404


async def test_an_entry_is_of_one_session(mia: Mia, people: People) -> None:
    browser, key, session = mia
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as client:
        other = (await client.post(S, json={"workspace": "churn"}, params={"wait": 5})).json()
    url = await browser.enter(session["id"])
    crossed = url.replace(f"/s/{session['id']}", f"/s/{other['id']}")
    assert (await browser.ask(crossed)).json()["code"] == "session-not-found"


@pytest.mark.parametrize("origin", ["http://evil.example", ADDRESS, "null"])
async def test_other_sites_pages_change_nothing(mia: Mia, origin: str) -> None:
    browser, _, session = mia
    url = await browser.enter(session["id"])
    assert (await browser.ask(url, "POST", Origin=origin)).json()["code"] == "origin-mismatch"
    socket = await browser.ask(url, Origin=origin, Sec_WebSocket_Key="x")
    assert socket.json()["code"] == "origin-mismatch"
    own = f"http://{session['id']}.localhost:28888"
    assert (await browser.ask(url, "POST", Origin=own)).status_code == 200


async def test_signing_out_closes_the_session_at_once(mia: Mia, services: Services, people: People) -> None:
    browser, _, session = mia
    url = await browser.enter(session["id"])
    assert (await browser.ask(url)).status_code == 200
    token = browser._jars["localhost:28888"][services.cookies.login]
    await services.accounts.sign_out(await services.authentication.by_login(token))
    assert (await browser.ask(url)).status_code == 401


async def test_a_person_who_lost_access_is_kept_out_at_once(mia: Mia, people: People, services: Services) -> None:
    _, _, session = mia
    leo = await people.add("leo")
    key = (await services.keys.create_key(leo, KeyCreate(name="x"))).key
    reply = await ask(people, f"/s/{session['id']}/lab", Authorization=f"Bearer {key}")
    assert (reply.status_code, reply.json()["code"]) == (404, "session-not-found")


async def test_a_sessions_password_is_asked_of_programs(mia: Mia, people: People) -> None:
    _, key, _ = mia
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as client:
        body = {"workspace": "churn", "password": "mypass"}
        locked = (await client.post(S, json=body, params={"wait": 5})).json()
    path, authorization = f"/s/{locked['id']}/lab", f"Bearer {key}"
    assert (await ask(people, path, Authorization=authorization)).json()["code"] == "session-password-needed"
    for given, status in (("wrong", 403), ("mypass", 200)):
        reply = await ask(people, path, Authorization=authorization, Studiolo_Session_Password=given)
        assert reply.status_code == status


async def test_a_right_that_ended_unseen_works_less_than_five_seconds() -> None:
    remembered = (authentication._REMEMBER_SECONDS, access._REMEMBER_SECONDS)
    assert max(remembered) + door._REMEMBER_SECONDS + shortcuts.OPEN_SECONDS < 5


async def test_what_another_process_changed_counts_once_it_says_so(
    mia: Mia, people: People, services: Services
) -> None:
    _, key, session = mia
    path, authorization = f"/s/{session['id']}/lab", f"Bearer {key}"
    assert (await ask(people, path, Authorization=authorization)).status_code == 200
    with sqlite3.connect(services.settings.data_dir / "studiolo.db") as database:
        database.execute("DELETE FROM keys WHERE session_id IS NULL")
    async with people.anonymous({"X-Studiolo-Question": "1"}) as operator:
        assert (await operator.post("/_look")).status_code == 204
    assert (await ask(people, path, Authorization=authorization)).status_code == 401


async def test_questions_that_come_together_share_one_look(mia: Mia, people: People, services: Services) -> None:
    _, key, session = mia
    looks = 0

    def count(*_: object) -> None:
        nonlocal looks
        looks += 1

    event.listen(services.db.engine.sync_engine, "before_cursor_execute", count)
    await ask(people, f"/s/{session['id']}/lab", Authorization=f"token {key}")
    alone, looks = looks, 0
    services.authentication.forget()
    services.access.forget()
    paths = [f"/s/{session['id']}/static/{number}.js" for number in range(40)]
    replies = await asyncio.gather(*(ask(people, path, Authorization=f"token {key}") for path in paths))
    assert {reply.status_code for reply in replies} == {200}
    assert looks <= alone


async def test_many_looks_at_once_do_not_lock_each_other_out(mia: Mia, people: People, services: Services) -> None:
    _, key, session = mia
    services.access.forget()
    async with asyncio.timeout(10), people.anonymous({"Authorization": f"Bearer {key}"}) as client:
        replies = await asyncio.gather(*(client.get(f"{S}/{session['id']}") for _ in range(40)))
    assert {reply.status_code for reply in replies} == {200}


async def test_the_question_is_not_answered_to_clients(people: People) -> None:
    async with people.anonymous() as client:
        assert (await client.get("/_door")).status_code == 404


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("localhost:28888", HostKind.PLATFORM),
        ("127.0.0.1:28888", HostKind.PLATFORM),
        ("[::1]:28888", HostKind.PLATFORM),
        ("s-0123456789abcdef.localhost:28888", HostKind.SESSION),
        ("localhost", HostKind.UNKNOWN),
        ("localhost:80", HostKind.UNKNOWN),
        ("evil.example:28888", HostKind.UNKNOWN),
        ("x.localhost:28888", HostKind.UNKNOWN),
        ("s-0123456789abcdef.localhost.evil.example:28888", HostKind.UNKNOWN),
        ("", HostKind.UNKNOWN),
    ],
)
def test_hosts_are_looked_up_whole(settings: Settings, host: str, kind: HostKind) -> None:
    assert Hosts(settings).classify(host).kind is kind


def test_our_cookies_never_reach_a_session() -> None:
    header = "a=1; studiolo-login-00=x; __Host-studiolo-login-00=y; _xsrf=2; studiolo-entry-00=z"
    assert without_ours(header) == "a=1; _xsrf=2"
