"""The fake engine keeps the contract too, and misbehaves when it is told to."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Engine, Handle, Logs, Phase, Sweeps, Watches, WorkloadSpec
from studiolo.testing.engine_contract import *  # noqa: F403
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.fake_engine import FakeEngine

_numbers = count()


def _spec() -> WorkloadSpec:
    return WorkloadSpec(f"s-{next(_numbers)}", 1, Path("/w"), Path("/e"), "/s/x/", secret="secret")


@pytest.fixture
def engine() -> FakeEngine:
    """A fake engine that behaves, until a test says otherwise."""
    return FakeEngine()


@pytest.fixture
def case(engine: FakeEngine) -> EngineCase:
    """The fake engine as a case of the contract."""

    async def crash(handle: Handle) -> None:
        engine.crash(handle)

    async def break_engine() -> None:
        engine.behaviour.answers = False

    async def mend_engine() -> None:
        engine.behaviour.answers = True

    def make_waiting_spec() -> WorkloadSpec:
        engine.behaviour.has_places = False
        return _spec()

    return EngineCase(
        engine=engine,
        make_spec=_spec,
        unknown_handle=lambda: {"workload_id": _spec().workload_id, "launch": 1},
        crash=crash,
        make_waiting_spec=make_waiting_spec,
        break_engine=break_engine,
        mend_engine=mend_engine,
    )


def test_it_has_all_capabilities(engine: FakeEngine) -> None:
    typed: Engine = engine
    assert isinstance(typed, Watches)
    assert isinstance(typed, Logs)
    assert isinstance(typed, Sweeps)


async def test_a_slow_workload_waits_until_it_is_let_go(engine: FakeEngine) -> None:
    engine.behaviour.becomes_ready = False
    handle = await engine.start(_spec())
    assert (await engine.observe(handle)).phase is Phase.STARTING
    engine.make_ready(handle)
    assert (await engine.observe(handle)).phase is Phase.READY


async def test_a_workload_in_the_queue_says_what_it_is_told_to_say(engine: FakeEngine) -> None:
    engine.behaviour.has_places = False
    handle = await engine.start(_spec())
    start = datetime(2026, 11, 21, 12, tzinfo=UTC)
    engine.say(handle, "In the queue: Priority.", expected_start=start)
    seen = await engine.observe(handle)
    assert (seen.phase, seen.message, seen.expected_start) == (Phase.PENDING, "In the queue: Priority.", start)
    engine.make_ready(handle)
    seen = await engine.observe(handle)
    assert (seen.phase, seen.message) == (Phase.READY, None)


async def test_a_stuck_workload_does_not_stop(engine: FakeEngine) -> None:
    handle = await engine.start(_spec())
    engine.behaviour.stops = False
    await engine.stop(handle, grace=timedelta(0))
    assert engine.running()


async def test_a_failing_engine_refuses_and_starts_nothing(engine: FakeEngine) -> None:
    engine.behaviour.refuses_start = True
    with pytest.raises(Unavailable, match="does not answer"):
        await engine.start(_spec())
    assert not engine.running()


async def test_a_lying_engine_says_what_it_was_told_to_say(engine: FakeEngine) -> None:
    handle = await engine.start(_spec())
    engine.behaviour.reports = Phase.ENDED
    assert (await engine.observe(handle)).phase is Phase.ENDED
    assert engine.running()


async def test_a_gone_engine_knows_nothing_and_forgets_nothing(engine: FakeEngine) -> None:
    handle = await engine.start(_spec())
    engine.behaviour.answers = False
    assert (await engine.observe(handle)).phase is Phase.UNKNOWN
    with pytest.raises(Unavailable):
        await engine.stop(handle, grace=timedelta(0))
    engine.behaviour.answers = True
    assert (await engine.observe(handle)).phase is Phase.READY


async def test_a_watch_hears_of_readiness_and_of_the_end(engine: FakeEngine) -> None:
    engine.behaviour.becomes_ready = False
    handle = await engine.start(_spec())
    seen: list[Phase] = []

    async def watch() -> None:
        async for _ in engine.watch(handle):
            seen.append((await engine.observe(handle)).phase)
            if seen[-1] is Phase.READY:
                engine.crash(handle)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    engine.make_ready(handle)
    await asyncio.wait_for(watching, 1)
    assert seen == [Phase.READY, Phase.ENDED]
