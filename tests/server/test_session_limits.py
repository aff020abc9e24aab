"""What a launch may use: its own wish over its workspace's, within the machine, on a scripted engine."""

import asyncio
from typing import Any

import httpx
import pytest

from server.conftest import eventually
from studiolo.contract.resources import Resources
from studiolo.engines.base import Limits, Machine
from studiolo.server.services import Services
from studiolo.server.sessions.admission import wish
from studiolo.server.sessions.launch_spec import limit_variables
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
GIB = 1024**3


def machine(**changes: Any) -> Machine:
    kinds = dict.fromkeys(("cpu_limits", "memory_limits", "process_limits"), "cgroup-v2")
    return Machine(**({"cpu": 4.0, "memory": 8 * GIB, "gpu": 0} | kinds | changes))


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine()
    engine.machine = machine()
    return engine


@pytest.fixture
async def churn(ana: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await ana.post(W, json={"name": "churn"})).json())


async def launch(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post(S, json={"workspace": "churn", **body}, params={"wait": 5})


@pytest.mark.usefixtures("churn")
@pytest.mark.req("S2-05", "S3-04")
async def test_a_profile_becomes_the_limits_of_the_launch(
    ana: httpx.AsyncClient, engine: FakeEngine, services: Services
) -> None:
    session = (await launch(ana, profile="medium")).json()
    assert (session["profile"], session["resources"]["cpu"]) == ("medium", 2)
    spec = engine.workloads[session["id"], 1].spec
    assert spec.limits == Limits(cpu=2, memory=4 * GIB, processes=services.settings.sessions.max_processes)
    assert spec.variables["MEM_LIMIT"] == str(4 * GIB)
    assert (spec.variables["CPU_LIMIT"], spec.variables["OMP_NUM_THREADS"]) == ("2", "2")


@pytest.mark.usefixtures("churn")
async def test_free_numbers_win_over_the_profile(ana: httpx.AsyncClient, engine: FakeEngine) -> None:
    session = (await launch(ana, profile="medium", resources={"memory": "3g"})).json()
    assert engine.workloads[session["id"], 1].spec.limits.memory == 3 * GIB
    assert engine.workloads[session["id"], 1].spec.limits.cpu == 2


@pytest.mark.usefixtures("churn")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"engine": "slurm"}, "engine-unknown"),
        ({"profile": "giant"}, "profile-unknown"),
        ({"resources": {"image": "jupyter/scipy-notebook"}}, "image-not-supported"),
        ({"resources": {"gpu": 1}}, "gpu-not-available"),
        ({"resources": {"cpu": 64}}, "capacity-exceeded"),
    ],
)
async def test_what_cannot_be_had_is_refused_and_nothing_is_made(
    ana: httpx.AsyncClient, body: dict[str, Any], code: str
) -> None:
    refused = (await launch(ana, **body)).json()
    assert (refused["code"], bool(refused["hint"])) == (code, True)
    assert (await ana.get(S)).json()["items"] == []


@pytest.mark.usefixtures("churn")
async def test_what_is_promised_is_not_promised_again(
    ana: httpx.AsyncClient, services: Services, engine: FakeEngine
) -> None:
    services.settings.resources.overcommit = 1
    first = (await launch(ana, resources={"memory": "6g"})).json()
    refused = (await launch(ana, resources={"memory": "3g"})).json()
    assert refused["code"] == "capacity-exceeded"
    assert "2 GiB" in refused["detail"]
    # Of a restart the session's own share is free.
    again = await ana.post(f"{S}/{first['id']}/restart", params={"wait": 5})
    assert (again.status_code, again.json()["state"]) == (200, "running")
    await ana.post(f"{S}/{first['id']}/stop", params={"wait": 5})
    assert (await launch(ana, resources={"memory": "3g"})).status_code == 201


@pytest.mark.usefixtures("churn")
@pytest.mark.req("S3-11")
async def test_launches_at_once_never_claim_more_than_there_is(ana: httpx.AsyncClient, services: Services) -> None:
    services.settings.resources.overcommit = 1
    replies = await asyncio.gather(*(launch(ana, resources={"cpu": 1}) for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [201] * 4 + [429] * 4
    async with services.db.read() as connection:
        assert (await services.sessions.claimed(connection, "local")).cpu_claimed == 4


@pytest.mark.usefixtures("churn")
@pytest.mark.req("S3-11")
async def test_launches_at_once_keep_to_the_number_per_person(ana: httpx.AsyncClient, services: Services) -> None:
    services.settings.sessions.max_running_per_person = 3
    replies = await asyncio.gather(*(launch(ana) for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [201] * 3 + [429] * 5
    assert {reply.json()["code"] for reply in replies if reply.status_code == 429} == {"too-many-sessions"}


async def test_two_people_scale_launch_stop_and_restart_at_once(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, churn: dict[str, Any], engine: FakeEngine
) -> None:
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "owner"})
    mine = (await launch(ana)).json()["id"]
    theirs = (await leo.post(S, json={"workspace": churn["id"]}, params={"wait": 5})).json()["id"]
    await asyncio.gather(
        ana.post(f"{S}/{mine}/restart"),
        leo.post(f"{S}/{mine}/stop"),
        leo.post(f"{S}/{theirs}/restart"),
        ana.post(f"{S}/{theirs}/stop"),
        leo.post(f"{W}/{churn['id']}/scale", json={"resources": {"cpu": 2}}),
        launch(ana, name="third"),
        leo.post(S, json={"workspace": churn["id"], "name": "fourth"}),
    )

    async def all_is_as_wanted() -> bool:
        listed = (await ana.get(S, params={"workspace": churn["id"]})).json()["items"]
        running = {(session["id"], session["launch"]) for session in listed if session["desired"] == "running"}
        settled = all(session["state"] in ("running", "stopped") for session in listed)
        return settled and set(engine.running()) == running and len(listed) == 4

    await eventually(all_is_as_wanted)
    # What was scaled counts from the next start on.
    again = (await ana.post(f"{S}/{mine}/restart", params={"wait": 5})).json()
    assert again["resources"]["cpu"] == 2


def test_a_profile_named_for_the_launch_replaces_the_workspaces_numbers() -> None:
    config = {"profile": "small", "resources": {"memory": 7 * GIB}}
    named = {"profile": "large", "resources": {"cpu": 3}}
    assert wish(named, config) == ("large", Resources(cpu=3))
    assert wish({"profile": None, "resources": {"cpu": 3}}, config) == ("small", Resources(cpu=3, memory=7 * GIB))
    assert wish(None, None) == (None, Resources())


@pytest.mark.parametrize(("cpu", "threads"), [(0.5, "1"), (2.5, "3"), (4.0, None), (None, None)])
def test_thread_pools_are_told_of_fewer_processors_only(cpu: float | None, threads: str | None) -> None:
    variables = limit_variables(Resources(cpu=cpu), machine())
    assert variables.get("OMP_NUM_THREADS") == threads
    assert ("CPU_LIMIT" in variables) == (cpu is not None)
