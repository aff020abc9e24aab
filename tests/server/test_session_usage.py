"""What sessions use, on a scripted engine: samples, history, ended launches, deaths by memory."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select

from server.conftest import People, eventually
from studiolo.contract.models import Activity
from studiolo.engines.base import Death
from studiolo.kit.clock import ManualClock
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.sessions.tables import session_usage, sessions
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
GIB = 1024**3
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def session(ana: httpx.AsyncClient) -> dict[str, Any]:
    await ana.post(W, json={"name": "churn"})
    found = (await ana.post(S, json={"workspace": "churn"}, params={"wait": 5})).json()
    assert found["state"] == "running"
    return dict(found)


def handle(session: dict[str, Any], launch: int = 1) -> dict[str, Any]:
    return {"workload_id": session["id"], "launch": launch}


async def test_samples_make_averages_and_a_history(
    ana: httpx.AsyncClient, session: dict[str, Any], engine: FakeEngine, services: Services, clock: ManualClock
) -> None:
    for minute in range(3):
        at = BEGIN + timedelta(minutes=minute)
        engine.use(handle(session), at=at, cpu_seconds=90.0 * minute, memory=GIB + minute, memory_peak=2 * GIB)
        assert await services.sampler.sample() == 1
        clock.advance(timedelta(minutes=1))
    usage = (await ana.get(f"{S}/{session['id']}/usage")).json()
    assert [sample["cpu"] for sample in usage["history"]] == [None, 1.5, 1.5]
    assert (usage["now"]["memory"], usage["memory_peak"]) == (GIB + 2, 2 * GIB)
    assert (await ana.get(f"{S}/{session['id']}")).json()["usage"]["cpu"] == 1.5


async def test_an_hour_is_kept(
    ana: httpx.AsyncClient, session: dict[str, Any], services: Services, clock: ManualClock
) -> None:
    for _ in range(70):
        await services.sampler.sample()
        clock.advance(timedelta(minutes=1))
    assert len((await ana.get(f"{S}/{session['id']}/usage")).json()["history"]) == 60
    async with services.db.read() as connection:
        assert len((await connection.execute(select(session_usage.c.at))).all()) <= 61


async def test_a_clock_put_back_makes_no_nonsense(
    ana: httpx.AsyncClient, session: dict[str, Any], engine: FakeEngine, services: Services, clock: ManualClock
) -> None:
    engine.use(handle(session), at=BEGIN, cpu_seconds=10.0)
    await services.sampler.sample()
    clock.jump(timedelta(hours=-2))
    engine.use(handle(session), at=BEGIN - timedelta(hours=2), cpu_seconds=20.0)
    await services.sampler.sample()
    assert (await ana.get(f"{S}/{session['id']}")).json()["usage"]["cpu"] is None


async def test_looking_writes_nothing(ana: httpx.AsyncClient, session: dict[str, Any], services: Services) -> None:
    written: list[str] = []
    event.listen(services.db.engine.sync_engine, "before_cursor_execute", lambda *args: written.append(args[2]))
    assert (await ana.get(f"{S}/{session['id']}/usage")).status_code == 200
    changes = [statement for statement in written if statement.split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert changes == []


async def test_usage_is_for_members_and_administrators(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, admin: httpx.AsyncClient, session: dict[str, Any]
) -> None:
    assert (await leo.get(f"{S}/{session['id']}/usage")).status_code == 404
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    assert (await leo.get(f"{S}/{session['id']}/usage")).status_code == 200
    assert (await admin.get(f"{S}/{session['id']}/usage")).status_code == 200


async def test_a_pass_over_a_thousand_sessions_is_one_short_transaction(
    ana: httpx.AsyncClient, session: dict[str, Any], engine: FakeEngine, services: Services
) -> None:
    row = await _many(services, engine, session["id"], 999)
    assert row
    seen: list[str] = []
    event.listen(services.db.engine.sync_engine, "before_cursor_execute", lambda *args: seen.append(args[2].split()[0]))
    sampling = asyncio.create_task(services.sampler.sample())
    answered_meanwhile = 0
    while not sampling.done():
        assert (await ana.get(f"{S}/{session['id']}")).status_code == 200
        answered_meanwhile += 1
    assert await sampling == 1000
    assert answered_meanwhile > 1
    assert [word for word in seen if word in ("INSERT", "UPDATE", "DELETE")] == [
        "INSERT",
        "UPDATE",
        "DELETE",
        "INSERT",
        "DELETE",
    ]
    assert sum("IMMEDIATE" in word for word in seen) <= 1


async def _many(services: Services, engine: FakeEngine, like: str, number: int) -> dict[str, Any]:
    """Add running sessions like this one, on the engine too."""
    async with services.db.write() as tx:
        row = dict((await tx.connection.execute(select(sessions).where(sessions.c.id == like))).mappings().one())
        copies = []
        for i in range(number):
            session_id = f"{like[:-6]}{i:06d}"
            copies.append(
                row | {"id": session_id, "name": f"copy-{i}", "handle": {"workload_id": session_id, "launch": 1}}
            )
            engine.workloads[session_id, 1] = engine.workloads[like, 1]
        await tx.connection.execute(sessions.insert(), copies)
    return row


async def test_an_ended_launch_is_counted_for_its_workspace(
    ana: httpx.AsyncClient, session: dict[str, Any], engine: FakeEngine, services: Services, clock: ManualClock
) -> None:
    engine.use(handle(session), at=BEGIN, cpu_seconds=1800.0, memory=GIB, memory_peak=3 * GIB)
    clock.advance(timedelta(hours=2))
    await ana.post(f"{S}/{session['id']}/restart", params={"wait": 5})
    engine.use(handle(session, 2), cpu_seconds=1800.0, memory=GIB, memory_peak=GIB)
    await services.sampler.sample()
    clock.advance(timedelta(hours=1))
    async with services.db.read() as connection:
        used = await services.workspace_sessions.usage_of_workspace(connection, session["workspace"]["id"])
    assert (used["session_hours"], used["launches"], used["running"]) == (3.0, 2, 1)
    assert (used["cpu_hours"], used["memory_peak"], used["memory"]) == (0.5, GIB, GIB)


async def test_what_a_stopped_launch_used_last_is_not_lost(
    ana: httpx.AsyncClient, session: dict[str, Any], engine: FakeEngine, services: Services
) -> None:
    engine.use(handle(session), cpu_seconds=7200.0, memory_peak=5 * GIB)
    await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})
    async with services.db.read() as connection:
        used = await services.workspace_sessions.usage_of_workspace(connection, session["workspace"]["id"])
    assert (used["cpu_hours"], used["memory_peak"]) == (2.0, 5 * GIB)


DEATH = Death(at=BEGIN, what="kernel", peak=2 * GIB, limit=2 * GIB, pid=7, name="train.ipynb")


async def test_a_kernel_out_of_memory_is_told_once_and_at_once(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, session: dict[str, Any], engine: FakeEngine, services: Services
) -> None:
    engine.run_out_of_memory(handle(session), DEATH)

    async def is_told() -> bool:
        return (await ana.get(f"{S}/{session['id']}")).json()["last_death"] is not None

    await eventually(is_told)
    now = (await ana.get(f"{S}/{session['id']}")).json()
    assert now["state"] == "running"
    assert now["last_death"]["message"] == (
        "A kernel (train.ipynb) ran out of memory: the session used 2 GiB of 2 GiB. Its variables are gone; "
        "saved files are safe. Start it again with more memory: studiolo scale churn --memory 4Gi"
    )
    await services.sampler.sample()
    engine.run_out_of_memory(handle(session), Death(BEGIN + timedelta(minutes=1), "processes", None, GIB, pid=8))

    async def both_are_told() -> bool:
        return len((await ana.get(f"{S}/{session['id']}/usage")).json()["deaths"]) == 2

    await eventually(both_are_told)
    events = (await admin.get("/api/v1/audit")).json()["items"]
    told = [event["detail"]["what"] for event in events if event["action"] == "session.out-of-memory"]
    assert told == ["processes", "kernel"]


async def test_a_new_launch_begins_without_old_deaths(
    ana: httpx.AsyncClient, session: dict[str, Any], engine: FakeEngine, services: Services
) -> None:
    engine.run_out_of_memory(handle(session), DEATH)
    await services.sampler.sample()
    again = (await ana.post(f"{S}/{session['id']}/restart", params={"wait": 5})).json()
    assert (again["last_death"], again["usage"]) == (None, None)


async def test_notebooks_that_were_run_are_remembered(session: dict[str, Any], services: Services) -> None:
    workspace_id = session["workspace"]["id"]
    own = Principal("p", "ana", "ana", is_admin=False, via="key", workspace_id=workspace_id, session_id=session["id"])
    for number in range(205):
        activity = Activity(
            reported_at=BEGIN + timedelta(days=1),
            kernels=1,
            busy_kernels=0,
            terminals=0,
            busy_terminals=0,
            connections=0,
            last_active_at=BEGIN + timedelta(seconds=number),
            notebook=f"n{number % 203}.ipynb",
        )
        await services.session_reports.report(own, session["id"], activity)
    async with services.db.read() as connection:
        found = await services.workspace_sessions.executions_of_workspace(connection, workspace_id, limit=500)
    assert [entry["path"] for entry in found[:2]] == ["n1.ipynb", "n0.ipynb"]
    assert (len(found), found[0]["session"]) == (200, session["name"])


async def test_nobody_but_the_session_reports(people: People, session: dict[str, Any]) -> None:
    async with await people.client("mia") as mia:
        assert (await mia.post(f"/api/v1/sessions/{session['id']}/report", json={"kernels": 1})).status_code == 404


async def test_a_measurement_that_fails_holds_up_no_stop_and_no_pass(
    ana: httpx.AsyncClient, session: dict[str, Any], engine: FakeEngine, services: Services
) -> None:
    async def fail(handle: dict[str, Any]) -> None:
        raise OSError("the group is gone")

    engine.measure = fail  # type: ignore[method-assign]
    assert await services.sampler.sample() == 0
    stopped = (await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})).json()
    assert stopped["state"] == "stopped"
