"""What JupyterLab is told of the platform: notices, who else has a file open; and what its person asks for there."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.conftest import People
from server.test_door import login
from studiolo.contract.lab import Notice
from studiolo.engines.base import Death
from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services
from studiolo.server.sessions import queries
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
MIB, GIB = 1024**2, 1024**3


class Inside:
    """A session, and the way its own server asks."""

    def __init__(self, session: dict[str, Any], http: httpx.AsyncClient) -> None:
        self.id = session["id"]
        self.workspace = session["workspace"]["id"]
        self._http = http

    async def ask(self, *paths: str, **more: Any) -> httpx.Response:
        return await self._http.post(f"/api/v1/sessions/{self.id}/here", json={"open": list(paths), **more})

    async def notices(self) -> list[dict[str, Any]]:
        return list((await self.ask()).json()["notices"])


class Insides:
    """Launches sessions in Ana's workspace, where Leo edits."""

    def __init__(self, services: Services, people: People, stack: AsyncExitStack) -> None:
        self._services = services
        self._people = people
        self._stack = stack

    async def launch(self, client: httpx.AsyncClient) -> Inside:
        found = (await client.post(S, json={"workspace": "ana/churn"}, params={"wait": 5})).json()
        key = self._services.session_secrets.api_key(found["id"], 1)
        http = self._people.anonymous({"Authorization": f"Bearer {key}"})
        return Inside(found, await self._stack.enter_async_context(http))


@pytest.fixture
async def insides(
    services: Services, people: People, ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> AsyncIterator[Insides]:
    await ana.post(W, json={"name": "churn"})
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    async with AsyncExitStack() as stack:
        yield Insides(services, people, stack)


async def test_whoever_opens_a_notebook_sees_who_else_has_it_open(
    insides: Insides, ana: httpx.AsyncClient, leo: httpx.AsyncClient, clock: ManualClock
) -> None:
    of_ana, of_leo = await insides.launch(ana), await insides.launch(leo)
    assert (await of_ana.ask("train.ipynb", "notes.md")).json()["others"] == {}
    seen = (await of_leo.ask("train.ipynb")).json()["others"]
    assert {path: [person["name"] for person in people] for path, people in seen.items()} == {"train.ipynb": ["ana"]}
    assert [person["name"] for person in (await of_ana.ask("train.ipynb")).json()["others"]["train.ipynb"]] == ["leo"]
    # Leo's browser is closed: after a while he is not there any more.
    clock.advance(timedelta(minutes=1))
    assert (await of_ana.ask("train.ipynb")).json()["others"] == {}


async def test_its_menu_leads_to_the_pages_of_its_workspace(insides: Insides, ana: httpx.AsyncClient) -> None:
    inside = await insides.launch(ana)
    links = (await inside.ask()).json()["links"]
    home = links["workspace"]
    assert home.endswith(f"/w/{inside.workspace}")
    assert links | {"environment": f"{home}/environment", "people": f"{home}/people"} == links


async def test_nobody_but_the_session_asks_for_it(insides: Insides, ana: httpx.AsyncClient) -> None:
    inside = await insides.launch(ana)
    assert (await ana.post(f"/api/v1/sessions/{inside.id}/here", json={})).json()["code"] == "session-not-found"


async def test_the_end_of_its_time_is_announced_ten_minutes_before(
    insides: Insides, ana: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    inside = await insides.launch(ana)
    async with services.db.write() as tx:
        at = clock.now() + timedelta(minutes=11)
        await queries.update_intent(tx.connection, inside.id, ends_at=at)
    assert await inside.notices() == []
    clock.advance(timedelta(minutes=2))
    (notice,) = await inside.notices()
    assert (notice["id"], "{until}" in notice["text"]) == ("time-limit", True)


async def test_an_idle_session_is_announced_and_kept_on_its_person_s_word(
    insides: Insides, ana: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    inside = await insides.launch(ana)
    assert await inside.notices() == []
    async with services.db.write() as tx:
        at = clock.now() + timedelta(minutes=10)
        await queries.update_intent(tx.connection, inside.id, idle_stop_at=at)
    (notice,) = await inside.notices()
    assert (notice["id"], notice["actions"][0]["do"]) == ("idle", "keep-running")
    assert "{until}" in notice["text"]
    assert (await inside.ask(do="keep-running")).json()["notices"] == []
    events = (await ana.get(f"{W}/churn/activity")).json()["items"]
    assert [event["action"] for event in events].count("session.snooze") == 1


async def test_its_person_stops_a_session_from_within(insides: Insides, ana: httpx.AsyncClient) -> None:
    inside = await insides.launch(ana)
    assert (await inside.ask(do="stop")).status_code == 200
    stopped = (await ana.get(f"{S}/{inside.id}", params={"wait": 5})).json()
    assert stopped["desired"] == "stopped"


async def test_memory_that_is_nearly_full_and_what_ran_out_of_it_are_told(
    insides: Insides, ana: httpx.AsyncClient, engine: FakeEngine, services: Services, clock: ManualClock
) -> None:
    await ana.post(f"{W}/churn/scale", json={"resources": {"memory": 16 * GIB}})
    inside = await insides.launch(ana)
    handle = {"workload_id": inside.id, "launch": 1}
    engine.use(handle, at=clock.now(), cpu_seconds=1.0, memory=15 * GIB, memory_peak=15 * GIB)
    await services.sampler.sample()
    assert [notice["text"] for notice in await inside.notices()] == [
        "Memory is nearly full: 15 of 16 GiB. Kernels you no longer need free it."
    ]
    clock.advance(timedelta(minutes=1))
    engine.run_out_of_memory(handle, Death(clock.now(), "kernel", 16 * GIB, 16 * GIB, name="train.ipynb"))
    await services.sampler.sample()
    (*_, death) = await inside.notices()
    assert (death["level"], "train.ipynb" in death["text"]) == ("danger", True)
    clock.advance(timedelta(minutes=11))
    assert not [notice for notice in await inside.notices() if notice["id"].startswith("death")]


async def test_a_workspace_that_fills_its_size_is_told_on_home_and_then_in_jupyterlab(
    insides: Insides, ana: httpx.AsyncClient, people: People, services: Services, clock: ManualClock
) -> None:
    await ana.post(f"{W}/churn/scale", json={"resources": {"disk": 10 * MIB}})
    inside = await insides.launch(ana)
    large = services.settings.data_dir / "workspaces" / inside.workspace / "large.bin"

    async def see(address: str) -> str:
        headers = {"Cookie": f"{services.cookies.login}={await login(services, 'ana')}"}
        async with people.anonymous(headers) as browser:
            return (await browser.get(address)).text

    for size, on_home, notices in ((7, False, 0), (8.5, True, 0), (9.5, True, 1)):
        large.write_bytes(bytes(int(size * MIB)))
        clock.advance(timedelta(hours=2))
        await services.disk.measure_some()
        assert ("of 10 MiB" in await see("/"), len(await inside.notices())) == (on_home, notices)
    assert "of 10 MiB, which is measured" in await see(f"/w/{inside.workspace}/settings")
    (notice,) = await inside.notices()
    assert notice["text"].startswith("The files of this workspace use 9.5 of 10 MiB.")


async def test_other_parts_of_the_platform_add_what_they_have_to_say(
    insides: Insides, ana: httpx.AsyncClient, services: Services
) -> None:
    async def source(row: Any) -> list[Notice]:
        return [Notice(id="banner", level="info", text=f"To {row['person_name']}: maintenance tonight.")]

    services.lab.sources.append(source)
    inside = await insides.launch(ana)
    assert [notice["text"] for notice in await inside.notices()] == ["To ana: maintenance tonight."]


@pytest.mark.parametrize("form", [{"open": ["x" * 2000]}, {"open": "a"}, {"do": "erase"}, {"open": ["a"] * 300}])
async def test_nonsense_is_refused(insides: Insides, ana: httpx.AsyncClient, form: dict[str, Any]) -> None:
    inside = await insides.launch(ana)
    reply = await inside._http.post(f"/api/v1/sessions/{inside.id}/here", json=form)
    assert (reply.status_code, reply.json()["code"]) == (422, "request-invalid")


async def test_an_administrator_s_banner_is_seen_inside_jupyterlab(
    insides: Insides, ana: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    inside = await insides.launch(ana)
    posted = await admin.put("/api/v1/banner", json={"text": "Maintenance at six.", "level": "warning"})
    assert posted.is_success, posted.text
    (notice,) = await inside.notices()
    assert (notice["text"], notice["level"]) == ("Maintenance at six.", "warning")
