"""Wait until a session has settled, and show its steps when that takes time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from studiolo.cli.invocation import current
from studiolo.cli.output import say
from studiolo.contract.errors import Conflict, Unavailable
from studiolo.contract.models import Session, SessionState
from studiolo.sdk import Studiolo
from studiolo.sdk.resources.sessions import has_settled

# A start that takes no longer needs no words.
_PATIENCE_SECONDS = 0.3
_LONGEST_WAIT_SECONDS = 300.0


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


def wait_until_ready(client: Studiolo, session: Session) -> Session:
    """Return the session when it runs; use it under `going_on`.

    Raises Conflict (`session-ended`) if it failed, Unavailable (`timeout`) after five minutes.
    """
    begun = time.monotonic()
    shown: set[str] = set()
    hold = _PATIENCE_SECONDS
    while not has_settled(session):
        waited = time.monotonic() - begun
        if waited > _LONGEST_WAIT_SECONDS:
            raise _too_slow(session, waited)
        session = client.sessions.get(session.id, wait_seconds=hold)
        if time.monotonic() - begun >= _PATIENCE_SECONDS:
            _show_steps(session, shown)
        hold = 1.0
    if session.state is not SessionState.RUNNING:
        raise _ended(session)
    if shown:
        say(f"Ready after {time.monotonic() - begun:.1f} s.")
    return session


def _show_steps(session: Session, shown: set[str]) -> None:
    for step in session.steps:
        mark = f"{step.name} {step.state}"
        if step.state != "waiting" and mark not in shown:
            shown.add(mark)
            took = f" ({step.seconds:.1f} s)" if step.seconds is not None and step.state != "active" else ""
            say(f"  {step.name}: {'…' if step.state == 'active' else step.state}{took}")


def _ended(session: Session) -> Conflict:
    reason = session.reason
    said = reason.message if reason else f"It is {session.state}."
    return Conflict(
        "session-ended",
        f"Session {session.name} did not start: {said}",
        hint=f"`{current().program} logs {session.id}` shows its log.",
        session=session.id,
        log_tail=reason.log_tail if reason else [],
    )


def _too_slow(session: Session, waited: float) -> Unavailable:
    return Unavailable(
        "timeout",
        f"Session {session.name} is still {session.state} after {waited:.0f} s.",
        hint=f"`{current().program} logs {session.id}` shows its log; it goes on starting.",
    )
