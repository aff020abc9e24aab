"""Headless kernels on other engines: their places, who shares one, how they are reached, listed and ended."""

import asyncio
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

from server.conftest import People, eventually
from server.kernel_host import Host, standing_in
from server.test_door import ask
from server.test_kernels import Asking, error
from server.test_kernels_door import HOST, W, caller
from studiolo.engines.base import Engine, Handle, WorkloadSpec
from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services
from studiolo.server.sessions import kernel_workloads, queries
from studiolo.server.settings import Settings
from studiolo.server.settings.kernels import KernelSettings
from studiolo.testing.fake_engine import FakeEngine
from supervisor.front_door import serving

K, S = "/api/v1/kernels", "/api/v1/jupyter/sessions"


class Pods(FakeEngine):
    """An engine whose places for kernels alone have a host at `socket`."""

    def __init__(self, socket: Path) -> None:
        super().__init__("pods", "L2")
        self.socket = socket

    async def start(self, spec: WorkloadSpec) -> Handle:
        handle = await super().start(spec)
        self.workloads[spec.workload_id, spec.launch].kernels = f"unix/{self.socket}"
        return handle


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    run_dir = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    limits = KernelSettings(max_running_per_person=3)
    yield Settings(data_dir=tmp_path / "data", port=28888, run_dir=run_dir, kernels=limits)
    shutil.rmtree(run_dir)


@pytest.fixture
def pods(settings: Settings) -> Pods:
    return Pods(settings.runtime_dir / "there.sock")


@pytest.fixture
def engines(engine: FakeEngine, pods: Pods) -> Mapping[str, Engine]:
    plain = FakeEngine("hub", "L1")
    del plain.hosts_kernels
    return {"local": engine, "pods": pods, "hub": plain}


@pytest.fixture
async def there(services: Services, pods: Pods) -> AsyncIterator[Host]:
    """The host of all places on `pods`."""
    pods.socket.parent.mkdir(mode=0o700, exist_ok=True)
    host = Host()
    async with serving(host.app, pods.socket):
        yield host


@pytest.fixture
async def asking(people: People, services: Services, ana: httpx.AsyncClient) -> Asking:
    return await Asking(people, services, ana).prepare()


@pytest.fixture
async def workspace(asking: Asking, there: Host) -> str:
    return await asking.workspace()


async def start(asking: Asking, there: Host, workspace: str, **env: str) -> str:
    """Start a kernel on `pods` and return its id."""
    kernel = there.starts = str(uuid.uuid4())
    reply = await asking.reserve(workspace, kernel_id=kernel, KERNEL_ENGINE="pods", **env)
    assert reply.status_code == 200, reply.text
    assert reply.json()["elsewhere"]["id"] == kernel
    return kernel


def starts_of(pods: Pods) -> list[WorkloadSpec]:
    return [workload.spec for workload in pods.workloads.values()]


async def report(services: Services, there: Host, *kernels: str, **members: Any) -> None:
    """Have the platform ask the host, which has these kernels."""
    seen = {"scope": "s-lies.1", "spec": "python3", "state": "busy", "connections": 0, "path": None, "output": 7}
    at = services.clock.now().isoformat()
    there.kernels = [{**seen, "id": kernel, "last_active_at": at, **members} for kernel in kernels]
    await services.kernel_asking.ask()


async def test_a_kernel_runs_where_its_request_says(
    asking: Asking, services: Services, there: Host, pods: Pods, workspace: str
) -> None:
    kernel = await start(asking, there, workspace, KERNEL_CPUS="2", MINE="1", LD_PRELOAD="/x", PIP_INDEX_URL="x")
    (spec,) = starts_of(pods)
    assert (spec.only_kernels, spec.limits.cpu) == (True, 2.0)
    asked = there.app.seen[-1]
    body = json.loads(asked.body)
    assert (body["kernel_id"], body["env"]) == (kernel, {"KERNEL_ENGINE": "pods", "MINE": "1"})
    assert asked.header("x-studiolo-secret") == services.session_secrets.of_launch(spec.workload_id, 1)
    row = (await asking.client.get(f"{K}/{kernel}")).json()
    assert (row["engine"], row["session_id"], row["shared"], row["state"]) == ("pods", None, False, "starting")
    assert row["api_url"].endswith(f"/w/{workspace}/")
    # It is no session of anybody's, but can be looked at.
    assert (await asking.client.get(S)).json()["items"] == []
    assert (await asking.client.get(f"{S}/{spec.workload_id}")).json()["state"] == "running"
    events = (await asking.client.get(f"{W}/churn/activity")).json()["items"]
    assert [event["action"] for event in events].count("kernel.start") == 1


async def test_a_kernel_runs_where_its_workspace_does(
    asking: Asking, there: Host, pods: Pods, settings: Settings
) -> None:
    workspace = await asking.workspace(engine="pods")
    kernel = there.starts = str(uuid.uuid4())
    reply = await asking.reserve(workspace, kernel_id=kernel)
    assert reply.json()["elsewhere"]["metadata"]["studiolo"] == {"engine": "pods", "workspace": workspace}
    # Asked for here, it is here.
    assert "plan" in (await asking.reserve(workspace, KERNEL_ENGINE="local")).json()


async def test_kernels_of_one_size_share_a_place_and_others_have_their_own(
    asking: Asking, there: Host, pods: Pods, workspace: str
) -> None:
    await start(asking, there, workspace)
    await start(asking, there, workspace)
    assert len(starts_of(pods)) == 1
    await start(asking, there, workspace, KERNEL_CPUS="1")
    assert len(starts_of(pods)) == 2
    # Limits on kernels hold there as here.
    assert error(await asking.reserve(workspace, KERNEL_ENGINE="pods")) == "too-many-kernels"


async def test_two_that_ask_at_once_get_one_place(asking: Asking, there: Host, pods: Pods, workspace: str) -> None:
    replies = await asyncio.gather(*(asking.reserve(workspace, KERNEL_ENGINE="pods") for _ in range(2)))
    assert [reply.status_code for reply in replies] == [200, 200]
    assert len(starts_of(pods)) == 1


async def test_while_it_waits_for_a_place_the_client_is_told_to_ask_again(
    asking: Asking, there: Host, pods: Pods, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_workloads, "PLACE_SECONDS", 0.1)
    pods.behaviour.has_places = False
    reply = await asking.reserve(workspace, KERNEL_ENGINE="pods")
    assert (reply.status_code, error(reply), reply.headers["retry-after"]) == (503, "kernel-place-pending", "5")

    async def is_asked_for() -> bool:
        return bool(pods.workloads)

    await eventually(is_asked_for, timedelta(seconds=60))
    (spec,) = starts_of(pods)
    assert spec.workload_id in reply.json()["hint"]
    pods.make_ready({"workload_id": spec.workload_id, "launch": 1})
    monkeypatch.setattr(kernel_workloads, "PLACE_SECONDS", 30.0)
    await start(asking, there, workspace)
    assert len(starts_of(pods)) == 1


async def test_places_that_nobody_came_back_for_count_as_kernels_do(
    asking: Asking, there: Host, pods: Pods, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_workloads, "PLACE_SECONDS", 0.1)
    pods.behaviour.has_places = False
    asked = [
        error(await asking.reserve(workspace, KERNEL_ENGINE="pods", KERNEL_CPUS=str(size))) for size in range(1, 5)
    ]
    assert asked == ["kernel-place-pending"] * 3 + ["too-many-kernels"]
    # Nothing is new about a place that was asked for before.
    assert error(await asking.reserve(workspace, KERNEL_ENGINE="pods", KERNEL_CPUS="3")) == "kernel-place-pending"


async def test_a_kernel_too_many_gets_no_place(asking: Asking, there: Host, pods: Pods, workspace: str) -> None:
    for _ in range(3):
        await start(asking, there, workspace)
    assert error(await asking.reserve(workspace, KERNEL_ENGINE="pods", KERNEL_CPUS="1")) == "too-many-kernels"
    assert len(starts_of(pods)) == 1


async def test_a_kernel_that_does_not_start_there_is_none(asking: Asking, there: Host, workspace: str) -> None:
    refusal = b'{"kind": "not-found", "code": "kernelspec-not-found", "detail": "The \'r\' kernel is not available."}'
    there.app.answer = lambda seen: (404, {"content-type": "application/problem+json"}, refusal)
    kernel = str(uuid.uuid4())
    reply = await asking.reserve(workspace, kernel_id=kernel, name="r", KERNEL_ENGINE="pods")
    assert error(reply) == "kernelspec-not-found"
    assert (await asking.client.get(f"{K}/{kernel}")).json()["reason"]["code"] == "not-started"


async def test_engines_that_carry_no_kernels_alone_say_which_do(asking: Asking, workspace: str) -> None:
    reply = await asking.reserve(workspace, KERNEL_ENGINE="hub")
    assert error(reply) == "engine-without-kernels"
    assert set(reply.json()["candidates"]) == {"local", "pods"}
    assert error(await asking.reserve(workspace, KERNEL_ENGINE="moon")) == "engine-unknown"


async def test_the_front_door_leads_to_the_place_by_the_kernels_id(
    people: People, asking: Asking, services: Services, there: Host, pods: Pods, workspace: str
) -> None:
    kernel = await start(asking, there, workspace)
    (spec,) = starts_of(pods)
    for path in (f"/w/{workspace}/api/kernels/{kernel}/channels", f"/api/kernels/{kernel}"):
        reply = await ask(people, path, Host=HOST, Authorization=f"token {asking.key}")
        assert caller(reply)["scope"] == f"{spec.workload_id}.1"
        assert reply.headers["x-studiolo-upstream"] == f"unix/{pods.socket}"
    # Lists and starts are of the host here.
    reply = await ask(people, f"/w/{workspace}/api/kernels", Host=HOST, Authorization=f"token {asking.key}")
    assert (caller(reply)["scope"], reply.headers["x-studiolo-secret"]) == (workspace, services.kernel_host.secret)


async def test_lists_have_a_persons_kernels_elsewhere(asking: Asking, there: Host, workspace: str) -> None:
    kernel = await start(asking, there, workspace)
    other = await asking.workspace("other")
    for scope, prefix, found in (
        (workspace, f"/w/{workspace}/", [kernel]),
        (other, "/", [kernel]),
        (other, "/w/o/", []),
    ):
        who = {"scope": scope, "rights": ["see"], "person_id": asking.person["id"], "person_name": "ana"}
        who |= {"login": asking.login, "prefix": prefix, "origin": None}
        listed = (await asking.ask("elsewhere", {"caller": who})).json()["kernels"]
        assert [one["id"] for one in listed] == found
        assert all(one["metadata"]["studiolo"]["engine"] == "pods" for one in listed)


async def test_a_member_sees_anothers_kernel_there_and_an_owner_stops_it(
    asking: Asking, services: Services, leo: httpx.AsyncClient, there: Host, workspace: str
) -> None:
    kernel = await start(asking, there, workspace)
    await report(services, there, kernel)
    me = (await leo.get("/api/v1/me")).json()["name"]
    added = await asking.client.put(f"{W}/churn/members", json={"person": me, "role": "editor"})
    assert added.status_code == 200, added.text
    assert (await leo.get(f"{K}/{kernel}")).json()["state"] == "busy"
    assert (await leo.post(f"{K}/{kernel}/interrupt")).status_code == 403
    async with standing_in(services):
        assert (await asking.client.post(f"{K}/{kernel}/stop")).status_code == 200
    assert there.told[-1] == f"kernels/{kernel}/stop"


async def test_a_place_without_kernels_ends_and_one_with_a_kernel_stays(
    asking: Asking, services: Services, there: Host, pods: Pods, clock: ManualClock, workspace: str
) -> None:
    kernel = await start(asking, there, workspace)
    (spec,) = starts_of(pods)

    async def pass_minutes(minutes: int, *kernels: str) -> None:
        for _ in range(minutes):
            clock.advance(timedelta(minutes=1))
            services.session_reports._elsewhere_at.clear()
            await report(services, there, *kernels, state="idle")
            await services.idle_stop.look()

    await pass_minutes(30, kernel)
    assert (await asking.client.get(f"{S}/{spec.workload_id}")).json()["state"] == "running"
    await pass_minutes(8)
    assert (await asking.client.get(f"{K}/{kernel}")).json()["state"] == "ended"
    ended = (await asking.client.get(f"{S}/{spec.workload_id}", params={"wait": 30})).json()
    assert (ended["state"], ended["reason"]["code"]) == ("stopped", "idle")
    # The next one comes to the same place, where the journals are.
    await start(asking, there, workspace)
    assert {(one.workload_id, one.launch) for one in starts_of(pods)} >= {(spec.workload_id, 2)}


async def test_a_place_goes_when_nothing_is_known_of_its_kernels_any_more(
    asking: Asking, services: Services, there: Host, pods: Pods, clock: ManualClock, workspace: str
) -> None:
    kernel = await start(asking, there, workspace)
    (spec,) = starts_of(pods)
    address = f"{S}/{spec.workload_id}"

    async def look_after(days: int) -> httpx.Response:
        clock.advance(timedelta(days=days))
        await services.kernel_reconciler.look()
        return await asking.client.get(address)

    # While it runs it stays, however long.
    assert (await look_after(2)).json()["state"] == "running"
    await asking.client.post(f"{address}/stop")
    assert (await asking.client.get(address, params={"wait": 30})).json()["state"] == "stopped"
    async with services.db.write() as tx:
        # Engines go by a clock of their own.
        await queries.update_intent(tx.connection, spec.workload_id, ended_at=clock.now())
    assert (await look_after(2)).status_code == 200
    await services.kernel_reports.end(kernel, "session-ended", "It ended with its session.", clock.now())
    # Its output can be read for a day, at its place.
    assert (await look_after(0)).status_code == 200
    assert (await look_after(2)).status_code == 404
    await eventually(lambda: _are_none(pods), timedelta(seconds=60))
    async with services.db.read() as connection:
        assert await queries.find(connection, spec.workload_id) is not None
    await look_after(2)
    async with services.db.read() as connection:
        assert await queries.find(connection, spec.workload_id) is None
    await start(asking, there, workspace)
    assert starts_of(pods)[0].workload_id != spec.workload_id


async def _are_none(pods: Pods) -> bool:
    return not pods.workloads


async def test_hosts_elsewhere_are_asked_when_the_control_plane_has_not_heard_them(
    asking: Asking, services: Services, there: Host, pods: Pods, workspace: str
) -> None:
    kernel = await start(asking, there, workspace)
    await report(services, there, kernel)
    row = (await asking.client.get(f"{K}/{kernel}")).json()
    assert (row["state"], row["output"]) == ("busy", 7)
    asked = len(there.app.seen)
    # Heard just now, it is not asked again.
    await services.kernel_asking.ask()
    assert len(there.app.seen) == asked


async def test_with_its_workspace_a_place_and_its_kernels_end(
    asking: Asking, services: Services, there: Host, pods: Pods, workspace: str
) -> None:
    kernel = await start(asking, there, workspace)
    (spec,) = starts_of(pods)
    gone = await asking.client.delete(f"{W}/churn", params={"stop_sessions": "true"})
    assert gone.status_code == 204, gone.text

    async def has_ended() -> bool:
        return pods.workloads[spec.workload_id, 1].exit is not None

    await eventually(has_ended, timedelta(seconds=60))
    assert (await asking.client.get(f"{K}/{kernel}")).status_code == 404
