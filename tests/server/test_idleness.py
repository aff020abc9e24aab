"""Pure decisions about idle sessions."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from studiolo.server.sessions.idleness import STALE, Memory, Seen, Verdict, decide_idle

MINUTE = timedelta(minutes=1)
STOP = timedelta(hours=2)
WARNING = timedelta(minutes=15)


def look(memory: Memory | None, seen: Seen, now: timedelta) -> Verdict:
    return decide_idle(memory, seen, now, idle_stop=STOP, warning=WARNING)


def idle_for(minutes: int, **changes: object) -> Verdict:
    """A session that reports each minute that nothing happens, looked at each minute."""
    memory: Memory | None = None
    for minute in range(minutes + 1):
        seen = replace(Seen(launch=1, mark=str(minute), last_active="long ago"), **changes)  # type: ignore[arg-type]
        verdict = look(memory, seen, minute * MINUTE)
        memory = verdict.memory
    return verdict


def test_people_are_warned_before_the_stop() -> None:
    assert idle_for(104).stops_in is None
    warned = idle_for(105)
    assert warned.stops_in == WARNING
    assert not warned.must_stop


def test_an_idle_session_stops_after_its_time() -> None:
    assert not idle_for(119).must_stop
    assert idle_for(120).must_stop


def test_a_busy_kernel_or_terminal_is_never_idle() -> None:
    verdict = idle_for(600, is_busy=True)
    assert (verdict.idle_for, verdict.stops_in) == (timedelta(0), None)


def test_a_session_that_never_reported_is_never_idle() -> None:
    memory = None
    for minute in range(600):
        memory = look(memory, Seen(launch=1), minute * MINUTE).memory
    assert memory is not None
    assert memory.active_at == memory.looked_at


def test_nothing_is_concluded_from_reports_that_went_missing() -> None:
    memory = idle_for(110).memory
    silent = memory.seen
    for minute in range(111, 400):
        verdict = look(memory, silent, minute * MINUTE)
        memory = verdict.memory
        assert not verdict.must_stop
    assert verdict.stops_in is None


def test_who_was_away_counts_from_anew() -> None:
    memory = idle_for(119).memory
    verdict = look(memory, replace(memory.seen, mark="new"), 119 * MINUTE + timedelta(hours=3))
    assert (verdict.idle_for, verdict.stops_in) == (timedelta(0), None)


def test_a_message_or_save_starts_the_count_again() -> None:
    memory = idle_for(119).memory
    verdict = look(memory, replace(memory.seen, mark="new", last_active="just now"), 120 * MINUTE)
    assert (verdict.idle_for, verdict.memory.warned_at) == (timedelta(0), None)


def test_a_new_launch_counts_from_anew() -> None:
    memory = idle_for(119).memory
    assert look(memory, replace(memory.seen, launch=2), 121 * MINUTE).idle_for == timedelta(0)


def test_a_snooze_keeps_for_its_time_and_warns_again() -> None:
    memory = idle_for(119).memory
    snoozed = replace(memory.seen, mark="119", keep=timedelta(hours=1), keep_mark="wish")
    verdict = look(memory, snoozed, 120 * MINUTE)
    assert verdict.stops_in is None
    stops = []
    for minute in range(121, 200):
        seen = replace(snoozed, mark=str(minute), keep=timedelta(minutes=180 - minute))
        verdict = look(verdict.memory, seen, minute * MINUTE)
        if verdict.must_stop:
            stops.append(minute)
    assert stops[0] == 180


def test_zero_means_never() -> None:
    memory = idle_for(119).memory
    verdict = decide_idle(memory, replace(memory.seen, mark="n"), 120 * MINUTE, idle_stop=timedelta(0), warning=WARNING)
    assert verdict.stops_in is None


steps = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, "x", "y"]),
    ),
    max_size=60,
)


@given(steps)
def test_nobody_is_stopped_unwarned_busy_unheard_or_kept(
    history: list[tuple[int, bool, bool, str, str | None]],
) -> None:
    memory: Memory | None = None
    now, last_active_at, warned_at = timedelta(0), timedelta(0), None
    for number, (seconds, reports, busy, active, wish) in enumerate(history):
        now += timedelta(seconds=seconds)
        mark = str(number) if reports or memory is None else memory.seen.mark
        seen = Seen(1, mark, is_busy=busy, last_active=active, keep=timedelta(minutes=30), keep_mark=wish)
        if memory is None or busy or (memory.seen.mark != mark and memory.seen.last_active != active):
            last_active_at = now
        was_away = memory is None or now - memory.looked_at > STALE
        verdict = decide_idle(memory, seen, now, idle_stop=10 * MINUTE, warning=2 * MINUTE)
        memory = verdict.memory
        if verdict.must_stop:
            assert now - last_active_at >= 10 * MINUTE
            assert not busy
            assert not was_away
            assert now - memory.heard_at <= STALE
            assert warned_at is not None
            assert now - warned_at >= 2 * MINUTE
            assert now >= memory.kept_until
        warned_at = None if verdict.stops_in is None else warned_at if warned_at is not None else now
