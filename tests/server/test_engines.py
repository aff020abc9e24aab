"""Several engines at once: chosen, refused, moved between, waited for; and one that hangs beside one that does not."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from server.conftest import eventually
from studiolo.contract.errors import InvalidInput
from studiolo.contract.resources import Capacity, Profile
from studiolo.engines.base import Exit, Machine, Phase
from studiolo.kit.clock import ManualClock
from studiolo.server.engines.engines import Engines
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
UNKNOWN_SIZE = Machine(
    cpu=None, memory=None, gpu=None, cpu_limits="engine", memory_limits="engine", process_limits="none"
)


@pytest.fixture
def pods() -> FakeEngine:
    """An engine beside the local one: isolated, with images, a scheduler's whose size nobody knows."""
    engine = FakeEngine("pods", isolation="L2")
    engine.runs_images = True
    engine.machine = UNKNOWN_SIZE
    return engine


@pytest.fixture
def engines(engine: FakeEngine, pods: FakeEngine) -> Engines:
    return Engines({"local": engine, "pods": pods})


@pytest.fixture
def settings(settings: Settings) -> Settings:
    large = Profile(name="large", engines={"pods": {"partition": "gpu"}})
    resources = settings.resources.model_copy(update={"profiles": [large], "gpu_types": {"a100": "80 GB"}})
    sessions = settings.sessions.model_copy(update={"max_running_per_person": 50})
    return settings.model_copy(update={"resources": resources, "sessions": sessions})


@pytest.fixture
async def churn(ana: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await ana.post(W, json={"name": "churn"})).json())


async def launch(client: httpx.AsyncClient, wait: int = 30, **body: object) -> httpx.Response:
    return await client.post(S, json={"workspace": "churn", **body}, params={"wait": wait})


async def settled(client: httpx.AsyncClient, session: dict[str, Any]) -> dict[str, Any]:
    return dict((await client.get(f"{S}/{session['id']}", params={"wait": 30})).json())


@pytest.mark.usefixtures("churn")
class TestChoosing:
    async def test_a_launch_runs_where_it_says_else_at_the_default(
        self, ana: httpx.AsyncClient, engine: FakeEngine, pods: FakeEngine
    ) -> None:
        usual, elsewhere = (await launch(ana)).json(), (await launch(ana, engine="pods")).json()
        assert (usual["engine"], usual["isolation"]) == ("local", "L0")
        assert (elsewhere["engine"], elsewhere["isolation"], elsewhere["state"]) == ("pods", "L2", "running")
        assert usual["isolation_notice"] is not None
        assert elsewhere["isolation_notice"] is None
        assert {key[0] for key in engine.workloads} == {usual["id"]}
        assert {key[0] for key in pods.workloads} == {elsewhere["id"]}

    async def test_an_unknown_engine_lists_those_there_are(self, ana: httpx.AsyncClient) -> None:
        refused = (await launch(ana, engine="slurm")).json()
        assert (refused["code"], refused["candidates"]) == ("engine-unknown", ["local", "pods"])

    async def test_a_workspace_moves_by_one_word_with_its_next_launch(
        self, ana: httpx.AsyncClient, engine: FakeEngine, pods: FakeEngine
    ) -> None:
        session = (await launch(ana)).json()
        moved = (await ana.post(f"{W}/churn/scale", json={"engine": "pods"})).json()
        assert (moved["engine"], moved["own_engine"]) == ("pods", "pods")
        assert (await settled(ana, session))["engine"] == "local"
        again = (await ana.post(f"{S}/{session['id']}/restart", params={"wait": 30})).json()
        assert (again["engine"], again["state"], again["launch"]) == ("pods", "running", 2)
        assert (engine.running(), pods.running()) == ([], [(session["id"], 2)])
        back = (await ana.post(f"{W}/churn/scale", json={"engine": ""})).json()
        assert (back["engine"], back["own_engine"]) == ("local", None)

    async def test_a_session_that_asked_for_its_engine_stays_there(self, ana: httpx.AsyncClient) -> None:
        session = (await launch(ana, engine="pods")).json()
        again = (await ana.post(f"{S}/{session['id']}/restart", params={"wait": 30})).json()
        assert again["engine"] == "pods"

    async def test_the_configuration_file_names_the_engine(self, ana: httpx.AsyncClient) -> None:
        text = "resources: {time_limit: 8h}\nengine: pods\nmin_isolation: L1\n"
        assert (await ana.put(f"{W}/churn/config", content=text)).status_code == 200
        found = (await ana.get(f"{W}/churn/config")).text
        assert "engine: pods" in found
        assert "time_limit: 8h" in found
        session = (await launch(ana)).json()
        assert (session["engine"], session["resources"]["time_limit"]) == ("pods", 8 * 3600)

    async def test_files_do_not_move_to_an_engine_that_keeps_them_itself(
        self, ana: httpx.AsyncClient, pods: FakeEngine
    ) -> None:
        pods.storage = "own"
        for refused in (await ana.post(f"{W}/churn/scale", json={"engine": "pods"}), await launch(ana, engine="pods")):
            assert refused.json()["code"] == "engine-storage"
        made = (await ana.post(W, json={"name": "there", "engine": "pods"})).json()
        assert made["engine"] == "pods"
        assert (await ana.post(f"{W}/there/scale", json={"engine": ""})).json()["code"] == "engine-storage"


@pytest.mark.usefixtures("churn")
class TestRefusals:
    async def test_less_isolation_than_demanded_is_refused_with_the_engines_that_have_it(
        self, ana: httpx.AsyncClient
    ) -> None:
        refused = (await ana.post(f"{W}/churn/scale", json={"min_isolation": "L2"})).json()
        assert (refused["code"], refused["candidates"]) == ("isolation-too-low", ["pods"])
        assert (await ana.post(f"{W}/churn/scale", json={"min_isolation": "L2", "engine": "pods"})).status_code == 200
        assert (await launch(ana, engine="local")).json()["code"] == "isolation-too-low"
        assert (await launch(ana)).json()["engine"] == "pods"

    async def test_an_image_is_refused_with_the_engines_that_run_images(
        self, ana: httpx.AsyncClient, pods: FakeEngine
    ) -> None:
        refused = (await launch(ana, resources={"image": "quay.io/x:1"})).json()
        assert (refused["code"], refused["candidates"]) == ("image-not-supported", ["pods"])
        session = (await launch(ana, resources={"image": "quay.io/x:1"}, engine="pods")).json()
        assert pods.workloads[session["id"], 1].spec.image == "quay.io/x:1"

    @pytest.mark.req("A-12")
    async def test_an_unknown_type_of_gpu_lists_the_known_ones(self, ana: httpx.AsyncClient) -> None:
        refused = (await launch(ana, engine="pods", resources={"gpu": 1, "gpu_type": "v100"})).json()
        assert (refused["code"], refused["candidates"]) == ("gpu-type-unknown", ["a100"])

    async def test_a_size_that_nobody_knows_does_not_limit(self, ana: httpx.AsyncClient, engine: FakeEngine) -> None:
        engine.machine = Machine(4.0, 1 << 30, 0, "none", "none", "none")
        wish = {"cpu": 64, "memory": "256g", "gpu": 8, "gpu_type": "a100"}
        assert (await launch(ana, engine="pods", resources=wish)).status_code == 201
        assert (await launch(ana, resources={"cpu": 64})).json()["code"] == "capacity-exceeded"


@pytest.mark.req("S1-03")
async def test_an_engine_is_told_all_that_it_may_need(ana: httpx.AsyncClient, pods: FakeEngine) -> None:
    await ana.post(W, json={"name": "churn"})
    wish = {"gpu": 2, "gpu_type": "a100", "disk": "20g", "time_limit": "8h"}
    session = (await launch(ana, engine="pods", profile="large", resources=wish)).json()
    spec = pods.workloads[session["id"], 1].spec
    assert (spec.limits.gpu, spec.limits.gpu_type, spec.limits.disk) == (2, "a100", 20 * 1024**3)
    assert spec.limits.seconds == 8 * 3600
    assert (spec.person, spec.options) == ("ana", {"partition": "gpu"})
    assert spec.labels == {"workspace": "ana/churn", "person": "ana", "e-mail": "ana@example.com", "people": "1"}


@pytest.mark.usefixtures("churn")
class TestWaiting:
    async def test_a_wait_for_a_place_is_shown_and_takes_no_starts_time(
        self, ana: httpx.AsyncClient, pods: FakeEngine, clock: ManualClock
    ) -> None:
        pods.behaviour.has_places = False
        session = (await launch(ana, wait=0, engine="pods")).json()

        async def waits() -> bool:
            return bool((await ana.get(f"{S}/{session['id']}")).json()["progress"])

        await eventually(waits, timedelta(seconds=30))
        handle = {"workload_id": session["id"], "launch": 1}
        expected = clock.now() + timedelta(hours=1)
        pods.say(handle, "In the queue: Priority.", expected_start=expected)

        async def says() -> bool:
            seen = (await ana.get(f"{S}/{session['id']}")).json()
            return bool(seen["progress"]["message"] == "In the queue: Priority.")

        await eventually(says, timedelta(seconds=30))
        clock.advance(timedelta(hours=3))
        seen = (await ana.get(f"{S}/{session['id']}")).json()
        assert (seen["state"], seen["progress"]["waiting"]) == ("starting", True)
        assert datetime.fromisoformat(seen["progress"]["expected_start"]) == expected
        assert [step["name"] for step in seen["steps"]] == ["Environment", "Queue", "Server", "Ready"]
        pods.make_ready(handle)
        ready = await settled(ana, session)
        assert (ready["state"], ready["progress"]) == ("running", None)
        assert [step["state"] for step in ready["steps"]] == ["done"] * 4

    async def test_a_stop_cancels_the_wait(self, ana: httpx.AsyncClient, pods: FakeEngine) -> None:
        pods.behaviour.has_places = False
        session = (await launch(ana, wait=0, engine="pods")).json()
        ended = (await ana.post(f"{S}/{session['id']}/stop", params={"wait": 30})).json()
        assert ended["state"] == "stopped"
        assert pods.running() == []

    async def test_a_time_limit_is_announced_and_ends_the_session(
        self, ana: httpx.AsyncClient, clock: ManualClock, services: Services
    ) -> None:
        session = (await launch(ana, resources={"time_limit": "1h"})).json()

        async def is_known() -> bool:
            return bool((await ana.get(f"{S}/{session['id']}")).json()["ends_at"])

        services.session_reconciler.runner.hint(session["id"])
        await eventually(is_known, timedelta(seconds=30))
        clock.advance(timedelta(hours=1, seconds=1))
        services.session_reconciler.runner.hint(session["id"])

        async def is_over() -> bool:
            return bool((await ana.get(f"{S}/{session['id']}")).json()["state"] == "stopped")

        await eventually(is_over, timedelta(seconds=30))
        reason = (await settled(ana, session))["reason"]
        assert reason["code"] == "time-limit"
        assert "1 h" in reason["message"]

    @pytest.mark.parametrize("reason", ["time-limit", "evicted", "cancelled", "image-missing", "no-capacity"])
    async def test_an_end_at_the_engine_is_explained(
        self, ana: httpx.AsyncClient, pods: FakeEngine, reason: str
    ) -> None:
        session = (await launch(ana, engine="pods")).json()
        workload = pods.workloads[session["id"], 1]
        workload.exit = Exit(reason, "The engine's own words.", datetime.now(UTC))
        workload.phase = Phase.ENDED
        workload.changes += 1
        workload.news.set()

        async def has_ended() -> bool:
            return (await ana.get(f"{S}/{session['id']}")).json()["state"] in ("stopped", "failed")

        await eventually(has_ended, timedelta(seconds=30))
        told = (await settled(ana, session))["reason"]
        assert told["code"] == reason
        assert told["message"].endswith("The engine's own words.")
        assert told["hint"]


@pytest.mark.usefixtures("churn")
class TestAnEngineThatHangs:
    async def test_others_launch_and_the_api_answers_meanwhile(
        self, ana: httpx.AsyncClient, pods: FakeEngine, engine: FakeEngine
    ) -> None:
        pods.behaviour.hangs = frozenset({"start", "observe", "describe", "measure", "stop"})
        stuck = [(await launch(ana, wait=0, engine="pods")).json() for _ in range(3)]
        async with asyncio.timeout(20):
            fine = (await launch(ana)).json()
            assert fine["state"] == "running"
            listed = (await ana.get("/api/v1/engines")).json()
        assert {one["name"]: one["healthy"] for one in listed} == {"local": True, "pods": False}
        assert "did not answer" in next(one["message"] for one in listed if one["name"] == "pods")
        assert {one["id"] for one in stuck} == {name.split(".")[0] for verb, name in pods.calls if verb == "start"}
        assert engine.running() == [(fine["id"], 1)]

    async def test_one_late_answer_makes_no_engine_sick(self, pods: FakeEngine) -> None:
        engines = Engines({"pods": pods}, remembered_seconds=0)
        assert (await engines.info("pods", Capacity())).healthy
        pods.behaviour.hangs = frozenset({"describe"})
        assert (await engines.info("pods", Capacity())).healthy
        await engines.aclose()

    async def test_what_it_last_said_answers_at_once(self, pods: FakeEngine, engines: Engines) -> None:
        pods.behaviour.hangs = frozenset({"describe"})
        first = await engines.info("pods", Capacity())
        begun = asyncio.get_running_loop().time()
        assert await engines.info("pods", Capacity()) == first
        assert asyncio.get_running_loop().time() - begun < 0.5
        assert not first.healthy

    async def test_more_stuck_steps_than_there_are_slots_hold_up_no_other_engine(
        self, ana: httpx.AsyncClient, pods: FakeEngine
    ) -> None:
        pods.behaviour.hangs = frozenset({"start"})
        for _ in range(40):
            await launch(ana, wait=0, engine="pods")
        assert (await launch(ana)).json()["state"] == "running"


@pytest.mark.usefixtures("churn")
async def test_an_engine_that_does_not_answer_leaves_its_sessions_unknown_and_says_so(
    ana: httpx.AsyncClient, pods: FakeEngine, services: Services
) -> None:
    session = (await launch(ana, engine="pods")).json()
    pods.behaviour.answers = False
    services.session_reconciler.runner.hint(session["id"])

    async def is_unknown() -> bool:
        return bool((await ana.get(f"{S}/{session['id']}")).json()["state"] == "unknown")

    await eventually(is_unknown, timedelta(seconds=30))
    seen = (await ana.get(f"{S}/{session['id']}")).json()
    assert seen["progress"]["message"] == "The fake engine does not answer."
    pods.behaviour.answers = True
    assert (await settled(ana, session))["state"] == "running"


async def test_what_engines_are_is_listed_with_the_default_first(ana: httpx.AsyncClient) -> None:
    listed = (await ana.get("/api/v1/engines")).json()
    assert [(one["name"], one["default"], one["images"], one["storage"]) for one in listed] == [
        ("local", True, False, "shared"),
        ("pods", False, True, "shared"),
    ]
    assert "no protection between sessions" in listed[0]["isolation_words"]
    assert listed[1]["enforcement"]["cpu"] == "engine"
    assert "The engine itself holds" in listed[1]["enforcement"]["note"]


def test_an_engine_taken_from_people_stays_for_the_platform() -> None:
    engines = Engines({"local": FakeEngine(), "pods": FakeEngine("pods", "L2")}, hidden=("local",))
    assert (engines.usable, engines.default, engines.here) == (["pods"], "pods", "local")
    with pytest.raises(InvalidInput):
        engines.choose("local")


async def test_an_engine_that_is_gone_leaves_its_sessions_unknown() -> None:
    seen = await Engines({"local": FakeEngine()}).of("slurm").observe({})
    assert (seen.phase, seen.message) == (
        Phase.UNKNOWN,
        "The engine slurm is not among this platform's any more.",
    )
