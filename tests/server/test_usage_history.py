"""What workspaces used over months: added up each minute, thinned to days, seen by members."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.test_moving_pages import Browser, browser
from server.test_session_usage import BEGIN, GIB, handle
from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services
from studiolo.server.sessions import history
from studiolo.testing.fake_engine import FakeEngine

__all__ = ["browser"]
W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"


@pytest.fixture
async def session(ana: httpx.AsyncClient) -> dict[str, Any]:
    await ana.post(W, json={"name": "churn"})
    return dict((await ana.post(S, json={"workspace": "churn"}, params={"wait": 5})).json())


async def test_hours_add_up_and_become_days(
    ana: httpx.AsyncClient,
    leo: httpx.AsyncClient,
    session: dict[str, Any],
    engine: FakeEngine,
    services: Services,
    clock: ManualClock,
) -> None:
    for minute in range(121):
        at = BEGIN + timedelta(minutes=minute)
        memory = GIB * (3 if minute == 30 else 1)
        engine.use(handle(session), at=at, cpu_seconds=90.0 * minute, memory=memory, memory_peak=3 * GIB)
        await services.sampler.sample()
        clock.advance(timedelta(minutes=1))
    used = (await ana.get(f"{W}/churn/sessions/usage")).json()
    first, second = used["hours"][:2]
    assert (first["session_hours"], first["memory_peak"], second["memory_peak"]) == (1.0, 3 * GIB, GIB)
    # The first sample has none before it to compare with.
    assert (first["cpu_hours"], second["cpu_hours"]) == (pytest.approx(1.5 * 59 / 60, abs=1e-3), 1.5)
    assert used["days"] == []
    await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})
    clock.advance(timedelta(days=9))
    await services.sampler.sample()
    used = (await ana.get(f"{W}/churn/sessions/usage")).json()
    (day,) = used["days"]
    assert (used["hours"], day["memory_peak"], day["cpu_hours"] > 2.9) == ([], 3 * GIB, True)
    assert (await leo.get(f"{W}/ana~churn/sessions/usage")).status_code == 404
    clock.advance(timedelta(days=401))
    await services.sampler.sample()
    async with services.db.read() as connection:
        assert not list(await connection.execute(history.usage_history.select()))


async def test_a_pause_of_the_platform_is_nobody_s_use(
    ana: httpx.AsyncClient, session: dict[str, Any], services: Services, clock: ManualClock
) -> None:
    await services.sampler.sample()
    clock.advance(timedelta(hours=5))
    await services.sampler.sample()
    used = (await ana.get(f"{W}/churn/sessions/usage")).json()
    assert sum(span["session_hours"] for span in used["hours"]) <= 0.1


async def test_how_large_a_workspace_was_is_kept_where_it_changed(
    ana: httpx.AsyncClient, session: dict[str, Any], services: Services, clock: ManualClock
) -> None:
    folder = Path((await ana.get(f"{W}/churn")).json()["path"])
    for size in (1 << 20, 1 << 20, 3 << 20):
        (folder / "data").write_bytes(b"1" * size)
        await services.disk.measure_some()
        clock.advance(timedelta(days=1))
    async with services.db.read() as connection:
        assert len(list(await connection.execute(history.usage_history.select()))) == 2
    await services.sampler.sample()
    first, second, last = (await ana.get(f"{W}/churn/sessions/usage")).json()["hours"]
    assert first["disk"] >= 1 << 20
    assert second["disk"] - first["disk"] == pytest.approx(2 << 20, abs=1 << 16)
    # An hour in which nobody looked is as the one before.
    assert last["disk"] == second["disk"]
    clock.advance(timedelta(days=10))
    await services.sampler.sample()
    days = (await ana.get(f"{W}/churn/sessions/usage")).json()["days"]
    assert [day["disk"] for day in days] == [first["disk"], second["disk"], second["disk"]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.floats(0, 64), st.none() | st.integers(0, 1 << 40))))
def test_nothing_that_was_used_is_lost_or_doubled(samples: list[tuple[str, float | None, int | None]]) -> None:
    used = history.sum_up(samples, timedelta(seconds=60))
    assert {one.workspace_id for one in used} == {name for name, _, _ in samples}
    assert sum(one.session_seconds for one in used) == 60 * len(samples)
    assert sum(one.memory for one in used) == sum(memory or 0 for _, _, memory in samples)
    assert sum(one.cpu_seconds for one in used) == pytest.approx(60 * sum(cpu or 0 for _, cpu, _ in samples))


async def test_the_page_draws_how_large_the_files_were(
    browser: Browser, services: Services, clock: ManualClock
) -> None:
    made = await browser.post("/workspaces", name="churn")
    await services.disk.measure_some()
    clock.advance(timedelta(hours=30))
    page = await browser.get(f"{made.headers['location'].partition('?')[0]}/usage")
    assert 'aria-label="Disk' in page or ">Disk<" in page
    assert re.search(r"Disk.{0,400}?<path", page, re.DOTALL), page
