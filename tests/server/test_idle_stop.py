"""Idle sessions stop after a warning, on a control plane in memory whose clock tests move."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from studiolo.contract.models import Activity
from studiolo.kit.clock import ManualClock
from studiolo.server.principal import Principal
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"


class Idle:
    """A running session of ana, and time that passes."""

    def __init__(self, services: Services, clock: ManualClock, ana: httpx.AsyncClient, session: dict[str, Any]) -> None:
        self._services = services
        self.clock = clock
        self._ana = ana
        self.id = session["id"]
        self._own = Principal(
            session["person"]["id"],
            "ana",
            "ana",
            is_admin=False,
            via="key",
            workspace_id=session["workspace"]["id"],
            session_id=self.id,
        )
        self._reports = 0

    async def report(self, last_active: str = "2026-01-01T00:00:00Z", **counts: int) -> None:
        """Report as the session's extension does."""
        self._reports += 1
        known = dict.fromkeys(("kernels", "busy_kernels", "terminals", "busy_terminals", "connections"), 0)
        activity = Activity.model_validate(
            known
            | counts
            | {
                "reported_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._reports),
                "last_active_at": last_active,
                "notebook": None,
            }
        )
        await self._services.session_reports.report(self._own, self.id, activity)
        # Nothing is concluded of a session while the host of its kernels is not heard.
        await self._services.kernel_reports.report([])

    async def pass_time(self, minutes: int, **counts: int) -> list[str]:
        """Let minutes pass, with a report and a look in each; returns what was stopped."""
        stopped = []
        for _ in range(minutes):
            self.clock.advance(timedelta(minutes=1))
            await self.report(**counts)
            stopped += await self._services.idle_stop.look()
        return stopped

    async def now(self, **parameters: Any) -> dict[str, Any]:
        return dict((await self._ana.get(f"{S}/{self.id}", params=parameters)).json())


@pytest.fixture
async def idle(services: Services, clock: ManualClock, ana: httpx.AsyncClient) -> Idle:
    services.settings.sessions.idle_stop = timedelta(hours=2)
    services.settings.sessions.idle_warning = timedelta(minutes=15)
    await ana.post(W, json={"name": "churn"})
    session = (await ana.post(S, json={"workspace": "churn"}, params={"wait": 5})).json()
    assert session["state"] == "running"
    found = Idle(services, clock, ana, session)
    await found.report()
    await services.idle_stop.look()
    return found


async def test_an_idle_session_warns_and_stops_with_its_reason(idle: Idle, services: Services) -> None:
    assert await idle.pass_time(106) == []
    warned = (await idle.now())["idle_stop_at"]
    assert timedelta(minutes=10) < datetime.fromisoformat(warned) - idle.clock.now() <= timedelta(minutes=15)
    assert await idle.pass_time(15) == [idle.id]
    ended = await idle.now(wait=5)
    assert (ended["state"], ended["reason"]["code"], ended["idle_stop_at"]) == ("stopped", "idle", None)
    assert ended["reason"]["message"] == "Stopped after 2 h without activity. Files and output are here."


async def test_the_stop_is_recorded_as_the_platforms_act(idle: Idle, admin: httpx.AsyncClient) -> None:
    await idle.pass_time(122)
    events = (await admin.get("/api/v1/audit")).json()["items"]
    stopped = next(event for event in events if event["action"] == "session.idle-stop")
    assert (stopped["actor"], stopped["via"], stopped["detail"]["idle"]) == (None, "platform", "2 h")


@pytest.mark.parametrize("counts", [{"busy_kernels": 1}, {"busy_terminals": 1}])
async def test_what_works_is_never_stopped(idle: Idle, counts: dict[str, int]) -> None:
    assert await idle.pass_time(150, **counts) == []
    assert (await idle.now())["state"] == "running"


async def test_an_open_tab_alone_is_no_activity(idle: Idle) -> None:
    assert await idle.pass_time(121, connections=3) == [idle.id]


async def test_keep_running_moves_the_stop(idle: Idle, ana: httpx.AsyncClient) -> None:
    await idle.pass_time(110)
    kept = await ana.post(f"{S}/{idle.id}/snooze", json={"minutes": 60})
    assert (kept.status_code, kept.json()["idle_stop_at"]) == (200, None)
    assert await idle.pass_time(59) == []
    assert (await idle.now())["idle_stop_at"] is not None
    assert await idle.pass_time(2) == [idle.id]


async def test_a_clock_that_jumps_stops_nobody(idle: Idle) -> None:
    await idle.pass_time(10)
    idle.clock.jump(timedelta(days=3))
    assert await idle.pass_time(60) == []
    idle.clock.jump(timedelta(days=-9))
    assert await idle.pass_time(30) == []
    assert (await idle.now())["idle_stop_at"] is None


async def test_a_restarted_platform_counts_from_anew(idle: Idle, services: Services) -> None:
    await idle.pass_time(119)
    services.idle_stop._memories.clear()
    assert await idle.pass_time(60) == []


async def test_a_session_that_falls_silent_is_left_alone(idle: Idle, services: Services, clock: ManualClock) -> None:
    await idle.pass_time(100)
    for _ in range(150):
        clock.advance(timedelta(minutes=1))
        assert await services.idle_stop.look() == []


async def test_a_report_between_look_and_stop_saves_the_session(idle: Idle, services: Services) -> None:
    await idle.pass_time(119)
    idle.clock.advance(timedelta(minutes=1))
    await idle.report()
    look = services.idle_stop._stop

    async def used_just_now(session_id: str) -> bool:
        await idle.report(last_active="2026-01-01T02:00:00Z")
        return await look(session_id)

    services.idle_stop._stop = used_just_now  # type: ignore[method-assign]
    assert await services.idle_stop.look() == []
    assert (await idle.now())["desired"] == "running"


async def test_snoozing_needs_a_running_session_and_the_right(
    idle: Idle, ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    assert (await leo.post(f"{S}/{idle.id}/snooze")).status_code == 404
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    assert (await leo.post(f"{S}/{idle.id}/snooze")).json()["code"] == "denied"
    assert (await ana.post(f"{S}/{idle.id}/snooze", json={"minutes": 0})).status_code == 422
    await ana.post(f"{S}/{idle.id}/stop", params={"wait": 5})
    assert (await ana.post(f"{S}/{idle.id}/snooze")).json()["code"] == "session-not-running"


async def test_idle_stop_can_be_switched_off(idle: Idle, services: Services) -> None:
    services.settings.sessions.idle_stop = timedelta(0)
    assert await idle.pass_time(150) == []
    now = await idle.now()
    assert (now["state"], now["idle_stop_at"]) == ("running", None)
