"""The verbs, and what is seen of a workload from its start to its end and after it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Handle, Logs, Phase, Sweeps, Watches
from studiolo.testing.engine_contract.case import GRACE, EngineCase, end, settle, start_ready
from studiolo.testing.waiting import eventually

__all__ = [
    "test_a_crash_is_seen_soon_and_with_a_reason",
    "test_a_launch_number_is_used_once",
    "test_a_log_is_followed_to_the_end_of_its_workload",
    "test_a_second_launch_is_another_workload",
    "test_a_started_workload_becomes_ready_and_has_an_upstream",
    "test_a_stop_before_the_workload_is_ready_is_heard",
    "test_a_watch_tells_of_the_end_and_finishes",
    "test_a_watch_tells_soon_of_an_end_that_others_caused",
    "test_a_workload_that_waits_for_a_place_says_so_and_can_be_stopped",
    "test_an_engine_says_where_files_are_and_whether_it_runs_images",
    "test_an_engine_that_is_away_knows_nothing_and_workloads_go_on",
    "test_each_verb_returns_within_seconds",
    "test_handles_are_json_and_hold_no_secret",
    "test_observing_a_launch_that_never_was_says_vanished",
    "test_racing_starts_make_one_workload",
    "test_starting_again_doubles_nothing",
    "test_stop_ends_the_workload_with_the_reason_stopped",
    "test_stop_of_a_vanished_workload_succeeds",
    "test_stopping_twice_succeeds",
    "test_sweep_ends_what_is_not_wanted_and_nothing_else",
    "test_tail_returns_at_most_the_lines_asked_for",
    "test_the_log_of_a_launch_that_never_was_is_empty",
    "test_what_the_engine_shows_holds_no_secret",
]

_CRASHES = {"killed", "out-of-memory", "server-exited", "vanished"}
_STOPS = {"stopped", "cancelled"}


async def test_a_started_workload_becomes_ready_and_has_an_upstream(case: EngineCase) -> None:
    _, handle = await start_ready(case)
    seen = await case.engine.observe(handle)
    assert seen.upstream
    assert seen.exit is None
    await end(case, handle)


async def test_handles_are_json_and_hold_no_secret(case: EngineCase) -> None:
    spec = replace(case.make_spec(), secret="s3cret-of-the-launch", api_key="key-of-the-session")  # noqa: S106
    handle = await case.engine.start(spec)
    text = json.dumps(handle)
    assert json.loads(text) == handle
    assert spec.secret not in text
    assert spec.api_key not in text
    await end(case, handle)


async def test_starting_again_doubles_nothing(case: EngineCase) -> None:
    spec, handle = await start_ready(case)
    assert await case.engine.start(spec) == handle
    assert (await case.engine.observe(handle)).phase is Phase.READY
    await end(case, handle)


async def test_racing_starts_make_one_workload(case: EngineCase) -> None:
    spec = case.make_spec()
    handles = await asyncio.gather(*(case.engine.start(spec) for _ in range(4)))
    assert all(handle == handles[0] for handle in handles)
    await settle(case, handles[0], Phase.READY)
    await end(case, handles[0])


async def test_a_launch_number_is_used_once(case: EngineCase) -> None:
    spec, handle = await start_ready(case)
    await end(case, handle)
    again = await case.engine.start(spec)
    assert (await case.engine.observe(again)).phase is Phase.ENDED


async def test_a_second_launch_is_another_workload(case: EngineCase) -> None:
    spec, first = await start_ready(case)
    second = await case.engine.start(replace(spec, launch=spec.launch + 1))
    await end(case, first)
    await settle(case, second, Phase.READY)
    await end(case, second)


async def test_stop_ends_the_workload_with_the_reason_stopped(case: EngineCase) -> None:
    _, handle = await start_ready(case)
    seen = await end(case, handle)
    assert seen.upstream is None
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"
    assert seen.exit.message.endswith(".")
    assert seen.exit.at.tzinfo is not None


async def test_stopping_twice_succeeds(case: EngineCase) -> None:
    _, handle = await start_ready(case)
    await case.engine.stop(handle, grace=GRACE)
    first = await end(case, handle)
    await case.engine.stop(handle, grace=GRACE)
    assert await case.engine.observe(handle) == first


async def test_stop_of_a_vanished_workload_succeeds(case: EngineCase) -> None:
    await case.engine.stop(case.unknown_handle(), grace=GRACE)


async def test_observing_a_launch_that_never_was_says_vanished(case: EngineCase) -> None:
    # A workload beside it shows that the engine itself can be asked.
    _, other = await start_ready(case)
    seen = await case.engine.observe(case.unknown_handle())
    assert seen.phase is Phase.ENDED
    assert seen.exit is not None
    assert seen.exit.reason == "vanished"
    await end(case, other)


async def test_a_crash_is_seen_soon_and_with_a_reason(case: EngineCase) -> None:
    """An end that others caused is seen by asking, within `notice_seconds`."""
    _, handle = await start_ready(case)
    await case.crash(handle)
    seen = await settle(case, handle, Phase.ENDED, within=case.notice_seconds)
    assert seen.exit is not None
    assert seen.exit.reason in _CRASHES
    assert seen.exit.message.endswith(".")


async def test_a_watch_tells_soon_of_an_end_that_others_caused(case: EngineCase) -> None:
    """The same by a watch: whoever only listens learns of it as soon."""
    if not isinstance(case.engine, Watches):
        pytest.skip("the engine does not watch")
    _, handle = await start_ready(case)
    async with _watching(case, handle) as watched:
        await case.crash(handle)
        async with asyncio.timeout(case.notice_seconds):
            assert (await watched)[-1] is Phase.ENDED


async def test_a_stop_before_the_workload_is_ready_is_heard(case: EngineCase) -> None:
    """A launch that is cancelled while it starts never becomes ready."""
    spec = case.make_spec()
    handle = await case.engine.start(spec)
    seen = await end(case, handle)
    assert seen.exit is not None
    assert seen.exit.reason in _STOPS
    # Nor does it come to life later.
    again = await case.engine.start(spec)
    assert (await case.engine.observe(again)).phase is Phase.ENDED


async def test_a_workload_that_waits_for_a_place_says_so_and_can_be_stopped(case: EngineCase) -> None:
    """A queue is PENDING with a sentence, and is left at once."""
    if case.make_waiting_spec is None:
        pytest.skip("nothing waits for a place on this engine")
    handle = await case.engine.start(case.make_waiting_spec())
    seen = await settle(case, handle, Phase.PENDING, Phase.READY, Phase.ENDED)
    assert seen.phase is Phase.PENDING
    assert seen.message
    assert seen.message.endswith(".")
    seen = await end(case, handle)
    assert seen.exit is not None
    assert seen.exit.reason in _STOPS


async def test_each_verb_returns_within_seconds(case: EngineCase) -> None:
    """Waiting is the reconciler's job, not the verbs'."""
    spec = case.make_spec()
    async with asyncio.timeout(case.verb_seconds):
        handle = await case.engine.start(spec)
    async with asyncio.timeout(case.verb_seconds):
        await case.engine.observe(handle)
    async with asyncio.timeout(case.verb_seconds):
        await case.engine.stop(handle, grace=GRACE)
    await settle(case, handle, Phase.ENDED)


async def test_an_engine_that_is_away_knows_nothing_and_workloads_go_on(case: EngineCase) -> None:
    """`observe` says UNKNOWN and never raises; `start` and `stop` raise Unavailable."""
    if case.break_engine is None or case.mend_engine is None:
        pytest.skip("the case cannot take its engine away")
    _, handle = await start_ready(case)
    await case.break_engine()
    try:
        for known in (handle, case.unknown_handle()):
            seen = await case.engine.observe(known)
            assert seen.phase is Phase.UNKNOWN
            assert seen.message
        with pytest.raises(Unavailable):
            await case.engine.start(case.make_spec())
        with pytest.raises(Unavailable):
            await case.engine.stop(handle, grace=GRACE)
    finally:
        await case.mend_engine()
    assert (await settle(case, handle, Phase.READY, Phase.ENDED)).phase is Phase.READY
    await end(case, handle)


async def test_an_engine_says_where_files_are_and_whether_it_runs_images(case: EngineCase) -> None:
    """Storage, images and isolation are declared in words that the platform knows."""
    assert case.engine.storage in {"shared", "own"}
    assert isinstance(case.engine.runs_images, bool)
    assert case.engine.isolation in {"L0", "L1", "L2", "L3", "L4"}


async def test_what_the_engine_shows_holds_no_secret(case: EngineCase) -> None:
    """Who may look at the engine's objects learns no secret, key or password from them."""
    if case.describe_object is None:
        pytest.skip("the engine shows nothing of its launches")
    secret, key, netrc = "s3cret-of-the-launch", "key-of-the-session", "machine index login x password netrc-of-it"
    handle = await case.engine.start(replace(case.make_spec(), secret=secret, api_key=key, netrc=netrc))
    await settle(case, handle, Phase.READY)
    shown = await case.describe_object(handle)
    assert shown
    assert not [hidden for hidden in (secret, key, "netrc-of-it") if hidden in shown]
    await end(case, handle)


async def test_a_watch_tells_of_the_end_and_finishes(case: EngineCase) -> None:
    if not isinstance(case.engine, Watches):
        pytest.skip("the engine does not watch")
    _, handle = await start_ready(case)
    async with _watching(case, handle) as watched:
        await case.engine.stop(handle, grace=GRACE)
        async with asyncio.timeout(case.patience_seconds):
            assert (await watched)[-1] is Phase.ENDED


async def test_tail_returns_at_most_the_lines_asked_for(case: EngineCase) -> None:
    if not isinstance(case.engine, Logs):
        pytest.skip("the engine has no logs")
    tail, (_, handle) = case.engine.tail, await start_ready(case)
    # Ready is not yet talkative.
    found = await eventually(lambda: tail(handle, lines=1), "a line in the log", case.patience_seconds)
    assert len(found) == 1
    assert await tail(handle, lines=0) == []
    await end(case, handle)


async def test_a_log_is_followed_to_the_end_of_its_workload(case: EngineCase) -> None:
    """Following yields lines one by one and finishes with the workload."""
    if not isinstance(case.engine, Logs):
        pytest.skip("the engine has no logs")
    _, handle = await start_ready(case)
    followed = case.engine.follow(handle, lines=1)
    async with asyncio.timeout(case.patience_seconds):
        assert isinstance(await anext(followed), str)
        await case.engine.stop(handle, grace=GRACE)
        async for line in followed:
            assert "\n" not in line


async def test_the_log_of_a_launch_that_never_was_is_empty(case: EngineCase) -> None:
    """Nobody waits for lines that will never come."""
    if not isinstance(case.engine, Logs):
        pytest.skip("the engine has no logs")
    handle = case.unknown_handle()
    assert await case.engine.tail(handle, lines=9) == []
    async with asyncio.timeout(case.verb_seconds):
        assert [line async for line in case.engine.follow(handle, lines=9)] == []


async def test_sweep_ends_what_is_not_wanted_and_nothing_else(case: EngineCase) -> None:
    if not isinstance(case.engine, Sweeps):
        return
    wanted, kept = await start_ready(case)
    _, unwanted = await start_ready(case)

    async def ask_wanted() -> set[tuple[str, int]]:
        return {(wanted.workload_id, wanted.launch)}

    swept = await case.engine.sweep(ask_wanted)
    assert len(swept) == 1
    await settle(case, unwanted, Phase.ENDED)
    assert (await case.engine.observe(kept)).phase is Phase.READY
    await end(case, kept)


@asynccontextmanager
async def _watching(case: EngineCase, handle: Handle) -> AsyncIterator[asyncio.Task[list[Phase]]]:
    """Watch from now on; the task's result are the phases that were observed when the watch told of something."""

    async def watch(engine: Watches) -> list[Phase]:
        return [(await case.engine.observe(handle)).phase async for _ in engine.watch(handle)]

    assert isinstance(case.engine, Watches)
    task = asyncio.create_task(watch(case.engine))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
