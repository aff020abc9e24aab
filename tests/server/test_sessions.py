"""Sessions over REST, on a scripted engine."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.conftest import eventually
from studiolo.contract.models import EnvironmentState
from studiolo.engines.base import Phase
from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"


@pytest.fixture
async def churn(ana: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await ana.post(W, json={"name": "churn"})).json())


async def launch(client: httpx.AsyncClient, wait: int = 5, **body: object) -> dict[str, Any]:
    reply = await client.post(S, json={"workspace": "churn", **body}, params={"wait": wait})
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


@pytest.mark.usefixtures("churn")
@pytest.mark.req("S3-14")
async def test_a_launch_becomes_ready(ana: httpx.AsyncClient) -> None:
    session = await launch(ana)
    assert (session["state"], session["desired"], session["launch"]) == ("running", "running", 1)
    assert session["notebook_url"].endswith(f"/go/{session['id']}")
    assert [step["state"] for step in session["steps"]] == ["done", "done", "done"]


@pytest.mark.usefixtures("churn")
@pytest.mark.req("S3-01", "S3-08")
async def test_several_sessions_of_one_workspace_get_names(ana: httpx.AsyncClient) -> None:
    names = {(await launch(ana))["name"] for _ in range(3)}
    listed = (await ana.get(S)).json()["items"]
    assert {session["name"] for session in listed} == names
    assert len(names) == 3


@pytest.mark.usefixtures("churn")
@pytest.mark.req("S3-10")
async def test_stopping_is_repeatable_and_says_who(ana: httpx.AsyncClient) -> None:
    session = await launch(ana)
    for _ in range(2):
        reply = await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})
        assert reply.json()["state"] == "stopped"
    assert reply.json()["reason"]["message"] == "Stopped by ana."


@pytest.mark.usefixtures("churn")
async def test_a_stopped_session_starts_again_as_a_new_launch(ana: httpx.AsyncClient, engine: FakeEngine) -> None:
    session = await launch(ana)
    await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})
    again = (await ana.post(f"{S}/{session['id']}/start", params={"wait": 5})).json()
    assert (again["state"], again["launch"], again["id"]) == ("running", 2, session["id"])
    assert (session["id"], 2) in engine.workloads


@pytest.mark.usefixtures("churn")
async def test_a_restart_ends_the_old_launch_before_the_new_begins(ana: httpx.AsyncClient, engine: FakeEngine) -> None:
    session = await launch(ana)
    again = (await ana.post(f"{S}/{session['id']}/restart", params={"wait": 5})).json()
    assert (again["state"], again["launch"]) == ("running", 2)
    assert engine.workloads[session["id"], 1].phase is Phase.ENDED
    verbs = [verb for verb, _ in engine.calls]
    assert verbs.index("stop") < len(verbs) - 1 - verbs[::-1].index("start")


@pytest.mark.usefixtures("churn")
async def test_a_session_starts_again_with_more_and_keeps_it(ana: httpx.AsyncClient) -> None:
    session = await launch(ana)
    more = {"resources": {"memory": "2g"}}
    again = (await ana.post(f"{S}/{session['id']}/restart", json=more, params={"wait": 5})).json()
    assert again["resources"]["memory"] == 2 * 1024**3
    await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})
    again = (await ana.post(f"{S}/{session['id']}/start", json={"resources": {"cpu": 1}}, params={"wait": 5})).json()
    assert (again["resources"]["memory"], again["resources"]["cpu"]) == (2 * 1024**3, 1)


@pytest.mark.usefixtures("churn")
async def test_whoever_stops_a_session_tells_its_person_why(ana: httpx.AsyncClient) -> None:
    session = await launch(ana)
    form = {"note": "The machine is needed at noon"}
    stopped = (await ana.post(f"{S}/{session['id']}/stop", json=form, params={"wait": 5})).json()
    assert "The machine is needed at noon" in stopped["reason"]["message"]


@pytest.mark.usefixtures("churn")
async def test_a_restart_in_the_middle_of_a_start_leaves_one_launch(ana: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.behaviour.may_start = asyncio.Event()
    session = await launch(ana, wait=0)
    async with asyncio.timeout(5):
        while not engine.workloads:
            await asyncio.sleep(0)
    await ana.post(f"{S}/{session['id']}/restart")
    engine.behaviour.may_start.set()
    again = (await ana.get(f"{S}/{session['id']}", params={"wait": 5})).json()
    assert (again["state"], again["launch"]) == ("running", 2)
    assert engine.running() == [(session["id"], 2)]
    verbs = [verb for verb, _ in engine.calls if verb != "observe"]
    assert verbs == ["start", "stop", "start"]


@pytest.mark.usefixtures("churn")
async def test_the_last_wish_wins(ana: httpx.AsyncClient) -> None:
    session = await launch(ana, wait=0)
    path = f"{S}/{session['id']}"
    for verb in ("stop", "start", "stop", "start", "stop"):
        await ana.post(f"{path}/{verb}")
    assert (await ana.get(path, params={"wait": 10})).json()["state"] == "stopped"


@pytest.mark.usefixtures("churn")
async def test_an_engine_that_is_gone_leaves_the_state_unknown(
    ana: httpx.AsyncClient, engine: FakeEngine, services: Services
) -> None:
    session = await launch(ana)
    engine.behaviour.answers = False

    async def is_unknown() -> bool:
        services.session_reconciler.runner.hint(session["id"])
        return bool((await ana.get(f"{S}/{session['id']}")).json()["state"] == "unknown")

    await eventually(is_unknown)
    engine.behaviour.answers = True

    async def is_back() -> bool:
        services.session_reconciler.runner.hint(session["id"])
        return bool((await ana.get(f"{S}/{session['id']}")).json()["state"] == "running")

    await eventually(is_back)


@pytest.mark.usefixtures("churn")
async def test_a_session_that_never_becomes_ready_fails_with_its_log(
    ana: httpx.AsyncClient, engine: FakeEngine, services: Services, clock: ManualClock
) -> None:
    engine.behaviour.becomes_ready = False
    session = await launch(ana, wait=0)

    async def was_started() -> bool:
        return (session["id"], 1) in engine.workloads

    await eventually(was_started)
    clock.advance(services.settings.sessions.start_timeout + timedelta(seconds=1))
    services.session_reconciler.runner.hint(session["id"])
    failed = (await ana.get(f"{S}/{session['id']}", params={"wait": 10})).json()
    assert (failed["state"], failed["reason"]["code"]) == ("failed", "start-timeout")
    assert failed["reason"]["log_tail"]


@pytest.mark.usefixtures("churn")
async def test_a_crash_is_told_with_its_reason(ana: httpx.AsyncClient, engine: FakeEngine) -> None:
    session = await launch(ana)
    engine.crash({"workload_id": session["id"], "launch": 1})

    async def has_failed() -> bool:
        return bool((await ana.get(f"{S}/{session['id']}")).json()["state"] == "failed")

    await eventually(has_failed)
    assert (await ana.get(f"{S}/{session['id']}")).json()["reason"]["message"]


async def test_a_session_waits_for_its_environment(
    ana: httpx.AsyncClient, churn: dict[str, Any], services: Services
) -> None:
    await services.workspaces.set_environment(churn["id"], EnvironmentState.PENDING, None)
    session = await launch(ana, wait=0)
    assert session["state"] == "starting"
    await services.workspaces.set_environment(churn["id"], EnvironmentState.READY, None)
    services.session_reconciler.look_at_workspace(churn["id"])
    assert (await ana.get(f"{S}/{session['id']}", params={"wait": 10})).json()["state"] == "running"


@pytest.mark.usefixtures("churn")
async def test_the_limit_per_person_says_what_to_do(ana: httpx.AsyncClient, services: Services) -> None:
    services.settings.sessions.max_running_per_person = 1
    await launch(ana)
    reply = await ana.post(S, json={"workspace": "churn"})
    assert (reply.status_code, reply.json()["code"]) == (429, "too-many-sessions")
    assert "Stop one" in reply.json()["hint"]


@pytest.mark.usefixtures("churn")
@pytest.mark.req("S3-24")
async def test_only_its_person_restarts_a_session_and_owners_may_stop_it(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    theirs = (await leo.post(S, json={"workspace": "ana~churn"}, params={"wait": 5})).json()
    assert (await ana.post(f"{S}/{theirs['id']}/restart")).status_code == 403
    assert (await leo.get(f"{S}/{theirs['id']}")).status_code == 200
    assert (await ana.post(f"{S}/{theirs['id']}/stop", params={"wait": 5})).json()["state"] == "stopped"


@pytest.mark.usefixtures("churn")
async def test_a_viewer_sees_sessions_and_launches_none(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    session = await launch(ana)
    assert (await leo.get(f"{S}/{session['id']}")).status_code == 404
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    assert (await leo.get(f"{S}/{session['id']}")).status_code == 200
    refused = await leo.post(S, json={"workspace": "ana~churn"})
    assert (refused.status_code, refused.json()["code"]) == (403, "denied")
    assert (await leo.post(f"{S}/{session['id']}/stop")).status_code == 403


@pytest.mark.usefixtures("churn")
async def test_losing_access_ends_the_persons_sessions(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    theirs = (await leo.post(S, json={"workspace": "ana~churn"}, params={"wait": 5})).json()
    await ana.delete(f"{W}/churn/members/leo")
    assert (await ana.get(f"{S}/{theirs['id']}", params={"wait": 5})).json()["state"] == "stopped"


@pytest.mark.usefixtures("churn")
async def test_a_busy_workspace_is_not_deleted_by_accident(ana: httpx.AsyncClient) -> None:
    await launch(ana)
    reply = await ana.delete(f"{W}/churn")
    assert (reply.status_code, reply.json()["code"]) == (409, "workspace-busy")
    assert (await ana.delete(f"{W}/churn", params={"stop_sessions": True})).status_code == 204


@pytest.mark.usefixtures("churn")
async def test_a_session_is_found_by_id_name_and_workspace(ana: httpx.AsyncClient) -> None:
    session = await launch(ana, name="train")
    for reference in (session["id"], "train", "churn~train", "churn%2Ftrain", "churn", "ana~churn"):
        assert (await ana.get(f"{S}/{reference}")).json()["id"] == session["id"], reference


@pytest.mark.usefixtures("churn")
@pytest.mark.req("S3-13")
@pytest.mark.parametrize("path", ["/api/v1/notebook", "/api/v1/jupyter/services"])
async def test_the_aliases_are_the_same_collection(ana: httpx.AsyncClient, path: str) -> None:
    made = (await ana.post(path, json={"workspace": "churn"})).json()
    assert (await ana.get(f"{S}/{made['id']}")).status_code == 200


@pytest.mark.usefixtures("churn")
async def test_a_sessions_key_reads_its_workspace_and_dies_with_it(
    ana: httpx.AsyncClient, services: Services, people: Any
) -> None:
    session = await launch(ana)
    key = services.session_secrets.api_key(session["id"], 1)
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as inside:
        assert [w["name"] for w in (await inside.get(W)).json()["items"]] == ["churn"]
        assert (await inside.post(W, json={"name": "other"})).json()["code"] == "scope-missing"
        report = await inside.post(f"/api/v1/sessions/{session['id']}/report", json={"kernels": 1, "busy_kernels": 1})
        assert report.status_code == 204
        assert (await ana.get(f"{S}/{session['id']}")).json()["activity"]["busy_kernels"] == 1
        await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})
        assert (await inside.get(W)).json()["code"] == "key-invalid"


@pytest.mark.usefixtures("churn")
async def test_nobody_else_reports_for_a_session(ana: httpx.AsyncClient) -> None:
    session = await launch(ana)
    reply = await ana.post(f"/api/v1/sessions/{session['id']}/report", json={"kernels": 7})
    assert reply.status_code == 404


@pytest.mark.usefixtures("churn")
async def test_a_forgotten_session_leaves_nothing_on_its_engine(ana: httpx.AsyncClient, engine: FakeEngine) -> None:
    session = await launch(ana)
    assert (await ana.delete(f"{S}/{session['id']}")).json()["code"] == "session-running"
    await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})
    assert (await ana.delete(f"{S}/{session['id']}")).status_code == 204
    assert (await ana.get(f"{S}/{session['id']}")).status_code == 404

    async def is_forgotten() -> bool:
        return (session["id"], 1) not in engine.workloads

    await eventually(is_forgotten)


async def test_a_workspace_without_sessions_is_no_unknown_session(ana: httpx.AsyncClient) -> None:
    await ana.post("/api/v1/jupyter/workspaces", json={"name": "quiet"})
    refused = (await ana.get("/api/v1/jupyter/sessions/quiet")).json()
    assert (refused["code"], refused["hint"]) == ("session-not-found", "Start one: studiolo start quiet")
