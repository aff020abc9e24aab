"""Pure decisions about sessions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.contract.models import SessionState
from studiolo.engines.base import Exit, Observation, Phase
from studiolo.server.sessions.lifecycle import Next, Wanted, decide_next, decide_outcome

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LIMIT = timedelta(seconds=60)


def wanted(**changes: object) -> Wanted:
    values = {
        "desired": "running",
        "launch": 1,
        "handle_launch": 1,
        "state": SessionState.STARTING,
        "started_at": NOW,
    }
    return Wanted(**{**values, **changes})  # type: ignore[arg-type]


anything = st.builds(
    Wanted,
    desired=st.sampled_from(["running", "stopped"]),
    launch=st.integers(1, 3),
    handle_launch=st.none() | st.integers(1, 3),
    state=st.sampled_from(list(SessionState)),
    started_at=st.none() | st.just(NOW),
    stop_code=st.none() | st.just("start-timeout"),
    waits=st.booleans(),
)
exits = st.builds(
    Exit, reason=st.just("server-exited"), message=st.just("x"), at=st.just(NOW), code=st.integers(0, 255)
)
observations = st.builds(Observation, phase=st.sampled_from(list(Phase)), exit=st.none() | exits)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (wanted(handle_launch=None), Next.START),
        (wanted(), Next.OBSERVE),
        (wanted(desired="stopped"), Next.STOP),
        (wanted(launch=2), Next.STOP),
        (wanted(desired="stopped", handle_launch=None), Next.SETTLE),
        (wanted(desired="stopped", handle_launch=None, state=SessionState.STOPPED), Next.NOTHING),
    ],
)
def test_the_next_step_follows_from_the_row(row: Wanted, expected: Next) -> None:
    assert decide_next(row) is expected


@given(anything)
def test_a_new_launch_never_begins_while_an_object_is_known(row: Wanted) -> None:
    assert decide_next(row) is not Next.START or row.handle_launch is None


@given(anything, st.timedeltas(timedelta(0), timedelta(days=9)))
def test_an_engine_that_does_not_answer_ends_nothing(row: Wanted, later: timedelta) -> None:
    outcome = decide_outcome(row, Observation(Phase.UNKNOWN), NOW + later, LIMIT)
    assert (outcome.state, outcome.ended, outcome.forget_handle, outcome.gives_up) == (
        SessionState.UNKNOWN,
        False,
        False,
        False,
    )


@given(anything, observations, st.timedeltas(timedelta(0), timedelta(days=1)))
def test_an_end_is_recorded_only_when_it_was_seen(row: Wanted, seen: Observation, later: timedelta) -> None:
    outcome = decide_outcome(row, seen, NOW + later, LIMIT)
    assert not outcome.ended or seen.phase is Phase.ENDED
    assert outcome.ended == (outcome.state in (SessionState.STOPPED, SessionState.FAILED))


def test_a_start_that_takes_too_long_is_given_up() -> None:
    seen = Observation(Phase.STARTING)
    assert not decide_outcome(wanted(), seen, NOW + LIMIT, LIMIT).gives_up
    assert decide_outcome(wanted(), seen, NOW + LIMIT + timedelta(seconds=1), LIMIT).gives_up


def test_a_wait_for_a_place_takes_no_starts_time() -> None:
    late = NOW + timedelta(days=3)
    waiting = decide_outcome(wanted(), Observation(Phase.PENDING), late, LIMIT)
    assert (waiting.state, waiting.gives_up) == (SessionState.STARTING, False)
    # The first look after the wait: when it had its place is written by it.
    assert not decide_outcome(wanted(waits=True), Observation(Phase.STARTING), late, LIMIT).gives_up


def test_a_wait_that_nobody_wants_any_more_is_ended() -> None:
    assert decide_next(wanted(desired="stopped")) is Next.STOP
    seen = decide_outcome(wanted(desired="stopped"), Observation(Phase.PENDING), NOW, LIMIT)
    assert seen.state is SessionState.STOPPING


def test_the_end_of_a_replaced_launch_makes_room_for_the_next() -> None:
    outcome = decide_outcome(wanted(launch=2), Observation(Phase.ENDED), NOW, LIMIT)
    assert outcome.forget_handle
    assert not outcome.ended
    assert outcome.state is SessionState.STARTING


@pytest.mark.parametrize(("code", "state"), [(0, SessionState.STOPPED), (1, SessionState.FAILED)])
def test_a_server_that_ends_by_itself_stopped_or_failed_by_its_code(code: int, state: SessionState) -> None:
    seen = Observation(Phase.ENDED, exit=Exit("server-exited", "", NOW, code=code))
    assert decide_outcome(wanted(state=SessionState.RUNNING), seen, NOW, LIMIT).state is state
