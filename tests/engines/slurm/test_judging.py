"""What is true of a session when its own files and the scheduler each know a part."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from studiolo.engines.base import Exit, Phase
from studiolo.engines.slurm.dialect import Job, JobState
from studiolo.engines.slurm.judging import forgotten, judge
from studiolo.engines.slurm.launches import Seen

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RUNNING = Job("17", "name", JobState.RUNNING, host="n1", ends_at=NOW)
BEGUN = Seen(has_begun=True, port=4000)


def own(reason: str) -> Exit:
    return Exit(reason, "The session's own words.", NOW, signal=9)


def ended(reason: str = "", message: str = "The scheduler's words.") -> Job:
    return replace(RUNNING, state=JobState.ENDED, reason=reason, message=message)


def reason_of(seen: Seen, job: Job | None) -> str:
    judged = judge(seen, job, upstream=None, now=NOW)
    assert judged is not None
    assert judged.phase is Phase.ENDED
    assert judged.exit is not None
    assert judged.exit.message.endswith(".")
    return judged.exit.reason


@pytest.mark.parametrize(
    ("seen", "job", "reason"),
    [
        # The shim was told to stop by a signal; only the scheduler knows by whom.
        (Seen(exit=own("stopped"), has_begun=True), ended("time-limit"), "time-limit"),
        (Seen(exit=own("stopped"), has_begun=True), ended("evicted"), "evicted"),
        (Seen(exit=own("stopped"), has_begun=True), ended("cancelled"), "cancelled"),
        (Seen(exit=own("stopped"), has_begun=True), ended(), "cancelled"),
        (Seen(exit=own("stopped"), has_begun=True), None, "cancelled"),
        (Seen(exit=own("stopped"), has_begun=True, stop_asked=True), RUNNING, "stopped"),
        (Seen(exit=own("killed"), has_begun=True), ended("out-of-memory"), "out-of-memory"),
        (Seen(exit=own("killed"), has_begun=True), ended(), "killed"),
        (Seen(exit=own("server-exited"), has_begun=True), ended("out-of-memory"), "server-exited"),
        (Seen(stop_asked=True), ended("cancelled"), "stopped"),
        (Seen(stop_asked=True, has_begun=True), ended("time-limit"), "time-limit"),
        (Seen(), ended("cancelled"), "cancelled"),
        (Seen(), ended(), "never-ready"),
        (BEGUN, ended(), "vanished"),
        (Seen(), replace(RUNNING, state=JobState.WAITING, message="In the queue: x.", is_hopeless=True), "no-capacity"),
    ],
)
def test_an_end_is_told_by_whoever_knows_more(seen: Seen, job: Job | None, reason: str) -> None:
    assert reason_of(seen, job) == reason


@pytest.mark.parametrize(
    ("seen", "state", "phase"),
    [
        (Seen(), JobState.WAITING, Phase.PENDING),
        (Seen(), JobState.PREPARING, Phase.STARTING),
        (Seen(), JobState.RUNNING, Phase.STARTING),
        (BEGUN, JobState.RUNNING, Phase.READY),
        (BEGUN, JobState.HALTED, Phase.UNKNOWN),
        (BEGUN, JobState.ENDING, Phase.UNKNOWN),
        # Killed, and the scheduler has not said yet what for.
        (replace(BEGUN, exit=own("killed")), JobState.RUNNING, Phase.UNKNOWN),
    ],
)
def test_a_living_job_has_a_phase(seen: Seen, state: JobState, phase: Phase) -> None:
    judged = judge(seen, replace(RUNNING, state=state), upstream="n1:4000", now=NOW)
    assert judged is not None
    assert judged.phase is phase
    assert judged.upstream == ("n1:4000" if phase is Phase.READY else None)


def test_a_job_that_nobody_knows_is_left_to_the_records_and_then_vanished() -> None:
    assert judge(BEGUN, None, upstream=None, now=NOW) is None
    assert forgotten(BEGUN, now=NOW).reason == "vanished"
    assert forgotten(Seen(stop_asked=True), now=NOW).reason == "stopped"
