"""Wait until a session has settled, and show its steps when that takes time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from studiolo.cli.invocation import current
from studiolo.cli.output import say
from studiolo.cli.session_table import told
from studiolo.contract.errors import Conflict, StudioloError, Unavailable
from studiolo.contract.models import Reason, Session, SessionState
from studiolo.contract.sizes import describe_size
from studiolo.sdk import Studiolo
from studiolo.sdk.resources.sessions import has_settled

# A start that takes no longer needs no words.
_PATIENCE_SECONDS = 0.3
_LONGEST_WAIT_SECONDS = 600.0


@contextmanager
def going_on(session: Session) -> Iterator[None]:
    """Say, when Ctrl-C ends what is done here, that the session itself goes on."""
    try:
        yield
    except KeyboardInterrupt:
        program = current().program
        say(f"\nNo longer waiting; {session.name} goes on starting.")
        say(f"See it: {program} status {session.id}    End it: {program} stop {session.id}")
        raise


@contextmanager
def cancelling(client: Studiolo, session: Session) -> Iterator[None]:
    """Stop the session when Ctrl-C ends the wait for it; one that ran already is left alone."""
    try:
        yield
    except KeyboardInterrupt:
        if not has_settled(session):
            say(f"\nCancelling the start of {session.name} …")
            with suppress(StudioloError):
                client.sessions.stop(session.id)
                say(f"Cancelled. Its files stay; start it again: {current().program} start {session.id}")
        raise


def wait_until_ready(client: Studiolo, session: Session) -> Session:
    """Return the session when it runs; use it under `going_on` or `cancelling`.

    Raises Conflict (`session-ended`) if it failed, Unavailable (`timeout`) after ten minutes; what it waits for a
    place does not count.
    """
    begun = placed = time.monotonic()
    shown: set[str] = set()
    if not has_settled(session):
        session = client.sessions.get(session.id, wait_seconds=_PATIENCE_SECONDS)
    if not has_settled(session):
        for seen in client.sessions.progress(session.id):
            session = seen
            _show_steps(session, shown)
            if session.progress is not None and session.progress.waiting:
                placed = time.monotonic()
            if time.monotonic() - placed > _LONGEST_WAIT_SECONDS:
                raise _too_slow(session, time.monotonic() - placed)
    if session.state is not SessionState.RUNNING:
        raise _ended(session)
    if shown:
        say(f"Ready after {time.monotonic() - begun:.1f} s.")
    return session


def why(reason: Reason) -> str:
    """Return why a session ended, with peak and limit where it ran out of memory."""
    known = ((reason.memory_peak, "peak"), (reason.memory_limit, "limit"))
    numbers = ", ".join(
        f"{name} {describe_size(size)}" for size, name in known if size and describe_size(size) not in reason.message
    )
    return f"{reason.message.rstrip('.')} ({numbers})." if numbers else reason.message


def _show_steps(session: Session, shown: set[str]) -> None:
    for step in session.steps:
        mark = f"{step.name} {step.state}"
        if step.state != "waiting" and mark not in shown:
            shown.add(mark)
            took = f" ({step.seconds:.1f} s)" if step.seconds is not None and step.state != "active" else ""
            say(f"  {step.name}: {'…' if step.state == 'active' else step.state}{took}")
    if (words := told(session)) and words not in shown:
        shown.add(words)
        say(f"    {words}")


def _ended(session: Session) -> Conflict:
    reason = session.reason
    said = why(reason) if reason else f"It is {session.state}."
    look = f"`{current().program} logs {session.id}` shows its log."
    return Conflict(
        "session-ended",
        f"Session {session.name} did not start: {said}",
        hint=f"{reason.hint.rstrip('.')}. {look}" if reason and reason.hint else look,
        session=session.id,
        log_tail=reason.log_tail if reason else [],
    )


def _too_slow(session: Session, waited: float) -> Unavailable:
    return Unavailable(
        "timeout",
        f"Session {session.name} is still {session.state} after {waited:.0f} s.",
        hint=f"`{current().program} logs {session.id}` shows its log; it goes on starting.",
    )
