"""What is true of a session, from what its files and the batch system say. Pure."""

from dataclasses import replace
from datetime import datetime

from studiolo.engines.base import Exit, Observation, Phase
from studiolo.engines.slurm.dialect import Job, JobState
from studiolo.engines.slurm.launches import Seen


def judge(
    seen: Seen, job: Job | None, *, upstream: str | None, kernels: str | None = None, now: datetime
) -> Observation | None:
    """Return what is observed of a launch; None when the queue has forgotten its job, which left no word either.

    `job`: from a listing that began after the submission. `upstream`: where its server would be reached on that node;
    `kernels`: the kernel host beside it.
    """
    if seen.exit is not None and not seen.is_vague:
        return _ended(seen.exit)
    if job is None:
        return _ended(_own(seen.exit, seen)) if seen.exit is not None else None
    if job.state is JobState.ENDED:
        return _ended(explain(job, seen, now=now))
    if job.is_hopeless:
        return _ended(Exit("no-capacity", f"The job cannot run: {job.message.partition(': ')[2] or job.message}", now))
    return _living(seen, job, upstream, kernels)


def explain(job: Job, seen: Seen, *, now: datetime) -> Exit:
    """Return how a session ended whose job the batch system says has ended."""
    own = seen.exit
    at = job.ended_at or (own.at if own else now)
    if job.reason and not (seen.stop_asked and job.reason in {"cancelled", "never-ready"}):
        told = Exit(job.reason, job.message, at, code=job.code, signal=job.signal)
        return replace(own, reason=told.reason, message=told.message) if own else told
    if own is not None:
        return _own(own, seen)
    if seen.stop_asked:
        return Exit("stopped", "The session was stopped.", at, code=job.code, signal=job.signal)
    if not seen.has_begun:
        return Exit("never-ready", f"The session's program did not start. {job.message}", at, job.code, job.signal)
    # A shim that lives writes down how it ended.
    said = "The session ended without a word: its processes were killed on their node."
    return Exit("vanished", said, at, job.code, job.signal)


def forgotten(seen: Seen, *, now: datetime) -> Exit:
    """Return how a session ended of whose job nobody knows anything any more."""
    if seen.stop_asked:
        return Exit("stopped", "The session was stopped.", now)
    return Exit(
        "vanished", "The batch system does not know the session's job any more; why it ended is not known.", now
    )


def _own(own: Exit, seen: Seen) -> Exit:
    if own.reason == "stopped" and not seen.stop_asked:
        return replace(own, reason="cancelled", message="The job was ended at the batch system, not by the platform.")
    return own


def _living(seen: Seen, job: Job, upstream: str | None, kernels: str | None) -> Observation:
    if seen.exit is not None or job.state is JobState.ENDING:
        return Observation(Phase.UNKNOWN, message="The session's job is ending.", ends_at=job.ends_at)
    if job.state is JobState.WAITING:
        return Observation(Phase.PENDING, message=job.message or "In the queue.", expected_start=job.expected_start)
    if job.state is JobState.PREPARING:
        return Observation(Phase.STARTING, message="The node for the session is being made ready.", ends_at=job.ends_at)
    if job.state is JobState.HALTED:
        return Observation(Phase.UNKNOWN, message="The batch system has suspended the session's job.")
    if seen.port is not None and upstream is not None:
        return Observation(Phase.READY, upstream=upstream, ends_at=job.ends_at, kernels=kernels)
    where = f" on {job.host}" if job.host else ""
    return Observation(Phase.STARTING, message=f"The job runs{where}; the server is starting.", ends_at=job.ends_at)


def _ended(end: Exit) -> Observation:
    return Observation(Phase.ENDED, exit=end)
