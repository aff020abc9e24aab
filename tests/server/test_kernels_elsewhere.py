"""Kernel hosts beside sessions elsewhere: found by the engine, reached by the front door, believed for their own."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import People
from server.kernel_host import Host, add_kernel, standing_in
from server.test_door import ask
from server.test_kernels_door import HOST, W, caller
from studiolo.contract.errors import StudioloError
from studiolo.engines.base import Engine
from studiolo.kit.clock import ManualClock
from studiolo.server.kernels.hosts import HostElsewhere
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.settings.kernels import KernelSettings
from studiolo.testing.fake_engine import FakeEngine
from supervisor.front_door import serving

K = "/api/v1/kernels"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    run_dir = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    limits = KernelSettings(max_running_per_person=2)
    yield Settings(data_dir=tmp_path / "data", port=28888, run_dir=run_dir, kernels=limits)
    shutil.rmtree(run_dir)


@pytest.fixture
def pods() -> FakeEngine:
    return FakeEngine("pods", "L2")


@pytest.fixture
def engines(engine: FakeEngine, pods: FakeEngine) -> Mapping[str, Engine]:
    return {"local": engine, "pods": pods}


class Inside:
    """A session on the engine `pods`, the host beside it, and what that host asks with the session's key."""

    def __init__(self, services: Services, client: httpx.AsyncClient, pods: FakeEngine, session: str) -> None:
        self.session = session
        self.scope = f"{session}.1"
        self.secret = services.session_secrets.of_launch(session, 1)
        self.socket = services.settings.runtime_dir / "inside.sock"
        self.host = Host()
        self._key = services.session_secrets.api_key(session, 1)
        self._client = client
        self._pods = pods

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[Host]:
        """Run a stand-in for the host where the engine says that it is."""
        self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        self._pods.workloads[self.session, 1].kernels = f"unix/{self.socket}"
        async with serving(self.host.app, self.socket):
            yield self.host

    async def tell(self, what: str, body: dict[str, Any], *, session: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._key}"}
        return await self._client.post(
            f"/api/v1/sessions/{session or self.session}/kernels/{what}", json=body, headers=headers
        )

    async def report_activity(self, **members: Any) -> httpx.Response:
        """Report as the session's own server does."""
        headers = {"Authorization": f"Bearer {self._key}"}
        return await self._client.post(f"/api/v1/sessions/{self.session}/report", json=members, headers=headers)

    async def reserve(self, kernel_id: str = "") -> tuple[str, httpx.Response]:
        kernel_id = kernel_id or str(uuid.uuid4())
        wish = {"kernel_id": kernel_id, "spec_name": "python3", "path": "a.ipynb"}
        return kernel_id, await self.tell("reserve", {"wish": wish})

    def seen(self, kernel_id: str, **members: Any) -> dict[str, Any]:
        """Return a kernel as its host reports it."""
        kernel = {"id": kernel_id, "scope": "s-lies.1", "spec": "python3", "state": "busy", "connections": 1}
        return {**kernel, "last_active_at": "2026-11-22T01:00:00+00:00", "path": "a.ipynb", "output": 7, **members}


@pytest.fixture
async def inside(services: Services, ana: httpx.AsyncClient, pods: FakeEngine) -> Inside:
    await ana.post(W, json={"name": "churn"})
    made = await ana.post(f"{W}/churn/sessions", json={"engine": "pods"}, params={"wait": 5})
    return Inside(services, ana, pods, str(made.json()["id"]))


async def ask_kernels(people: People, ana: httpx.AsyncClient, inside: Inside) -> httpx.Response:
    path = f"/s/{inside.session}/api/kernels"
    return await ask(people, path, Host=HOST, Authorization=ana.headers["authorization"])


async def test_the_front_door_is_led_to_the_host_beside_the_session_with_the_launchs_secret(
    people: People, services: Services, ana: httpx.AsyncClient, inside: Inside, pods: FakeEngine
) -> None:
    async with inside.beside():
        reply = await ask_kernels(people, ana, inside)
        found = caller(reply)
        assert (found["scope"], found["prefix"]) == (inside.scope, f"/s/{inside.session}/")
        assert reply.headers["x-studiolo-upstream"] == f"unix/{inside.socket}"
        assert reply.headers["x-studiolo-secret"] == inside.secret != services.kernel_host.secret
        # What was found out once holds for as long as the launch runs, also for whoever asks next.
        pods.behaviour.answers = False
        another = (await ana.post("/api/v1/me/keys", json={"name": "another"})).json()["key"]
        path = f"/s/{inside.session}/api/kernels"
        assert caller(await ask(people, path, Host=HOST, Authorization=f"token {another}"))["scope"] == inside.scope


async def test_a_kernel_named_by_its_id_is_found_at_its_host(
    people: People, services: Services, ana: httpx.AsyncClient, inside: Inside
) -> None:
    kernel, _ = await inside.reserve()
    key = (await ana.post("/api/v1/me/keys", json={"name": "p", "kind": "gateway"})).json()["key"]
    async with inside.beside():
        reply = await ask(people, f"/api/kernels/{kernel}", Host=HOST, Authorization=f"token {key}")
    assert caller(reply)["scope"] == inside.scope
    assert reply.headers["x-studiolo-secret"] == inside.secret


@pytest.mark.parametrize("is_told", [False, True])
async def test_without_a_host_the_sessions_own_server_is_asked(
    people: People, ana: httpx.AsyncClient, inside: Inside, pods: FakeEngine, is_told: bool
) -> None:
    if is_told:
        # Named by the engine, but nobody listens.
        pods.workloads[inside.session, 1].kernels = f"unix/{inside.socket}"
    reply = await ask_kernels(people, ana, inside)
    assert reply.status_code == 200
    assert "x-studiolo-kernels" not in reply.headers


async def test_while_the_engine_cannot_tell_no_other_kernels_are_used_instead(
    people: People, ana: httpx.AsyncClient, inside: Inside, pods: FakeEngine
) -> None:
    pods.behaviour.answers = False
    reply = await ask_kernels(people, ana, inside)
    assert (reply.status_code, reply.json()["code"]) == (503, "engine-unavailable")


async def test_a_kernel_is_admitted_counted_followed_and_ended(
    services: Services, ana: httpx.AsyncClient, inside: Inside
) -> None:
    kernel, reply = await inside.reserve()
    assert reply.status_code == 204, reply.text
    assert (await inside.reserve(kernel))[1].status_code == 204
    assert (await inside.tell("started", {"id": kernel, "ok": True})).status_code == 204
    assert (await inside.tell("report", {"kernels": [inside.seen(kernel)]})).json() == {"unwanted": []}
    row = (await ana.get(f"{K}/{kernel}")).json()
    assert (row["session_id"], row["state"], row["output"], row["path"]) == (inside.session, "busy", 7, "a.ipynb")
    activity = (await ana.get(f"/api/v1/jupyter/sessions/{inside.session}")).json()["activity"]
    assert (activity["kernels"], activity["busy_kernels"]) == (1, 1)
    # The host of this machine knows nothing of it, and changes nothing by that.
    await services.kernel_reports.report([])
    activity = (await ana.get(f"/api/v1/jupyter/sessions/{inside.session}")).json()["activity"]
    assert activity["busy_kernels"] == 1
    assert (await inside.reserve())[1].status_code == 204
    full = (await inside.reserve())[1]
    assert (full.status_code, full.json()["code"]) == (429, "too-many-kernels")
    end = {"reason": "out-of-memory", "message": "It ran out of memory.", "at": "2026-11-22T01:00:00+00:00"}
    assert (await inside.tell("ended", {"id": kernel, "exit": end})).status_code == 204
    row = (await ana.get(f"{K}/{kernel}")).json()
    assert (row["state"], row["reason"]["code"]) == ("ended", "out-of-memory")


async def test_a_host_is_believed_for_its_own_session_alone(
    services: Services, ana: httpx.AsyncClient, inside: Inside
) -> None:
    workspace = (await ana.get(f"{W}/churn")).json()["id"]
    person = (await ana.get("/api/v1/me")).json()["id"]
    foreign = await add_kernel(services, workspace, person)
    other = (await ana.post(f"{W}/churn/sessions", json={"name": "other"}, params={"wait": 5})).json()["id"]
    for what, body in (("reserve", {"wish": {"kernel_id": foreign, "spec_name": "p"}}), ("report", {"kernels": []})):
        assert (await inside.tell(what, body, session=other)).status_code == 404
        assert (await ana.post(f"/api/v1/sessions/{inside.session}/kernels/{what}", json=body)).status_code == 404
    taken = (await inside.reserve(foreign))[1]
    assert (taken.status_code, taken.json()["code"]) == (409, "kernel-exists")
    end = {"reason": "exited", "message": "", "at": "2026-11-22T01:00:00+00:00"}
    await inside.tell("ended", {"id": foreign, "exit": end})
    await inside.tell("report", {"kernels": [inside.seen(foreign, output=99)]})
    row = (await ana.get(f"{K}/{foreign}")).json()
    assert (row["state"], row["output"]) == ("idle", 0)


async def test_a_kernel_that_started_without_the_platforms_word_is_learnt_of_by_a_report(
    ana: httpx.AsyncClient, inside: Inside, clock: ManualClock
) -> None:
    kernels = [str(uuid.uuid4()) for _ in range(3)]
    told = {"kernels": [inside.seen(kernel) for kernel in kernels]}
    assert (await inside.tell("report", told)).json() == {"unwanted": []}
    listed = (await ana.get(K, params={"session": inside.session})).json()["items"]
    assert {row["id"] for row in listed} == set(kernels)
    clock.advance(timedelta(minutes=2))
    # One that is not told of any more has ended.
    await inside.tell("report", {"kernels": told["kernels"][1:]})
    assert (await ana.get(f"{K}/{kernels[0]}")).json()["state"] == "ended"
    assert (await ana.get(f"{K}/{kernels[1]}")).json()["state"] == "busy"


async def test_kernels_that_are_made_up_take_no_more_room_than_their_person_has(
    ana: httpx.AsyncClient, inside: Inside
) -> None:
    told = {"kernels": [inside.seen(str(uuid.uuid4())) for _ in range(60)]}
    assert (await inside.tell("report", told)).json() == {"unwanted": []}
    listed = (await ana.get(K, params={"session": inside.session, "limit": 200})).json()["items"]
    # Two are the limit, and twice as many what may have begun without the platform's word.
    assert len(listed) == 4


@pytest.mark.parametrize(
    "answer",
    [
        [3, None, "x", []],
        {"kernels": None},
        3,
        [{"id": str(uuid.uuid4()), "state": "idle", "path": {}, "spec": "x" * 10_000}],
        [{"id": str(uuid.uuid4()), "state": "idle", "last_active_at": 3}],
        [{"id": str(uuid.uuid4()), "state": "idle", "last_active_at": "2026-11-22T01:00:00"}],
        [{"id": str(uuid.uuid4()), "state": "idle", "output": float("inf")}],
        [{"id": str(uuid.uuid4()), "state": "idle", "connections": 10**30}],
    ],
)
async def test_what_a_host_says_that_makes_no_sense_is_skipped(
    services: Services, ana: httpx.AsyncClient, inside: Inside, answer: Any
) -> None:
    async with inside.beside() as host:
        headers = {"content-type": "application/json"}
        host.app.answer = lambda seen: (200, headers, json.dumps(answer).encode())
        await services.kernel_asking.ask()
    listed = (await ana.get(K, params={"session": inside.session})).json()["items"]
    assert all(len(row["name"]) <= 200 for row in listed)


@pytest.mark.parametrize("answer", [b" " * 2_000_000 + b"{}", b"[" * 500_000, b"<html>", b""])
async def test_an_answer_that_is_none_is_an_error_whatever_its_size(inside: Inside, answer: bytes) -> None:
    async with inside.beside() as host:
        host.app.answer = lambda seen: (200, {"content-type": "application/json"}, answer)
        with pytest.raises(StudioloError) as caught:
            await HostElsewhere(f"unix/{inside.socket}", inside.secret).list_kernels()
    assert caught.value.code == "kernel-host-unavailable"


@pytest.mark.parametrize("verb", ["interrupt", "restart", "stop"])
async def test_what_people_do_with_a_kernel_is_told_to_its_host(
    services: Services, ana: httpx.AsyncClient, inside: Inside, verb: str
) -> None:
    kernel, _ = await inside.reserve()
    async with standing_in(services) as here, inside.beside() as host:
        assert (await ana.post(f"{K}/{kernel}/{verb}")).status_code == 200
        assert host.told == [f"kernels/{kernel}/{verb}"]
        assert host.app.seen[-1].header("x-studiolo-secret") == inside.secret
        assert here.app.seen == []


async def test_output_and_log_are_read_from_its_host_and_unread_output_is_shown(
    people: People, services: Services, ana: httpx.AsyncClient, inside: Inside
) -> None:
    kernel, _ = await inside.reserve()
    await inside.tell("report", {"kernels": [inside.seen(kernel, state="idle", connections=0)]})
    async with inside.beside() as host:
        assert (await ana.get(f"{K}/{kernel}/log")).json()["lines"] == ["a line"]
        assert (await ana.get(f"{K}/{kernel}/output")).json()["last"] == 2
        host.kernels = [inside.seen(kernel) | {"unread_after": 3}]
        person = await services.authentication.by_key(ana.headers["authorization"].removeprefix("Bearer "))
        (unread,) = await services.kernels.list_unread(person)
    assert (unread.kernel.id, unread.after) == (kernel, 3)


async def test_output_of_a_session_that_has_ended_is_said_to_be_kept(
    services: Services, ana: httpx.AsyncClient, inside: Inside
) -> None:
    kernel, _ = await inside.reserve()
    await ana.post(f"/api/v1/jupyter/sessions/{inside.session}/stop", params={"wait": 5})
    reply = await ana.get(f"{K}/{kernel}/output")
    assert (reply.status_code, reply.json()["code"]) == (409, "session-not-running")
    assert "Start the session again" in reply.json()["hint"]


async def test_who_signed_out_has_no_socket_open_at_any_host(
    services: Services, ana: httpx.AsyncClient, inside: Inside
) -> None:
    made = (await ana.post("/api/v1/me/keys", json={"name": "p", "kind": "gateway"})).json()
    async with standing_in(services) as here, inside.beside() as host:
        await ana.delete(f"/api/v1/me/keys/{made['id']}")
        async with asyncio.timeout(30):
            while "close" not in host.told or "close" not in here.told:
                await asyncio.sleep(0.01)
    assert made["id"] in host.app.seen[-1].body.decode()


async def test_kernels_elsewhere_are_not_concluded_from_what_this_machine_has_and_end_with_their_session(
    services: Services, ana: httpx.AsyncClient, inside: Inside
) -> None:
    kernel, _ = await inside.reserve()
    await inside.tell("started", {"id": kernel, "ok": True})
    async with standing_in(services):
        await services.kernel_reconciler.look()
        assert (await ana.get(f"{K}/{kernel}")).json()["state"] != "ended"
        await ana.post(f"/api/v1/jupyter/sessions/{inside.session}/stop", params={"wait": 5})
        await services.kernel_reconciler.look()
    row = (await ana.get(f"{K}/{kernel}")).json()
    assert (row["state"], row["reason"]["message"]) == ("ended", "It ended with its session.")


@pytest.mark.parametrize("survive", [True, False])
async def test_whether_kernels_outlive_the_sessions_server_is_said(
    ana: httpx.AsyncClient, inside: Inside, survive: bool
) -> None:
    assert (await inside.report_activity(kernels_survive=survive)).status_code == 204
    activity = (await ana.get(f"/api/v1/jupyter/sessions/{inside.session}")).json()["activity"]
    assert activity["kernels_survive"] is survive
