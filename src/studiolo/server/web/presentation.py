"""How values read on a page: states, times, counts. Pure functions, registered as template filters."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote, urlencode

from studiolo.contract.devices import device
from studiolo.contract.models import EnvironmentInfo, EnvironmentState, Member, Session, SessionState
from studiolo.contract.resources import MemoryDeath
from studiolo.contract.sizes import describe_size, used_of
from studiolo.server.web import amounts


class Look(NamedTuple):
    """A state as shape, word and colour: `name` picks the colour, `shape` the drawing (see parts.html)."""

    name: str
    shape: str
    word: str


_SESSION_LOOKS = {
    SessionState.STARTING: Look("starting", "half", "Starting"),
    SessionState.RUNNING: Look("running", "disc", "Running"),
    SessionState.STOPPING: Look("stopping", "half", "Stopping"),
    SessionState.STOPPED: Look("stopped", "ring", "Stopped"),
    SessionState.FAILED: Look("failed", "cross", "Failed"),
    SessionState.UNKNOWN: Look("unknown", "triangle", "No answer"),
}
_WAITING = Look("starting", "half", "Waiting")
_ENVIRONMENT_LOOKS = {
    EnvironmentState.PENDING: Look("starting", "half", "Environment is being made"),
    EnvironmentState.READY: Look("running", "disc", "Environment ready"),
    EnvironmentState.FAILED: Look("failed", "cross", "Environment failed"),
}


def state_look(session: Session) -> Look:
    """Return the look of a session's state; one that starts may wait for a place."""
    if session.state is SessionState.STARTING and session.progress is not None and session.progress.waiting:
        return _WAITING
    return _SESSION_LOOKS[session.state]


def environment_look(environment: EnvironmentInfo) -> Look:
    """Return the look of an environment's state."""
    return _ENVIRONMENT_LOOKS[environment.state]


def ago(at: datetime, now: datetime) -> str:
    """Say when something was or will be: `3 min ago`, `in 5 days`, beyond 30 days the date."""
    span = now - at
    if abs(span) > timedelta(days=30):
        return f"{at.day} {at:%b %Y}"
    if span < timedelta(seconds=-10):
        return f"in {_coming(-span)}"
    words = _span(abs(span))
    return f"{words} ago" if words else "just now"


def exact(at: datetime) -> str:
    """Return the moment to the second; a script replaces it by the reader's own time zone."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def seconds(value: float) -> str:
    """Return a duration as people read it: `0.2 s`, `41 s`, `3 min 5 s`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    return f"{value // 60:.0f} min {value % 60:.0f} s"


def duration(value: timedelta) -> str:
    """Return a duration in one unit: `41 s`, `3 min`, `5 h`, `6 days`."""
    return _span(value) or "some seconds"


def count(number: int, one: str, many: str = "") -> str:
    """Return `1 session`, `2 sessions`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def doing(session: Session) -> str:
    """Say in a few words what a session is doing."""
    if session.state is SessionState.STARTING and session.progress is not None:
        return session.progress.message
    if session.state is SessionState.STARTING:
        active = next((step.name for step in session.steps if step.state == "active"), None)
        return f"Step: {active}" if active else "Begins"
    if session.state is SessionState.UNKNOWN:
        return "The engine does not answer; the session was not touched"
    if session.state is not SessionState.RUNNING:
        return "Ends its programs" if session.state is SessionState.STOPPING else ""
    activity = session.activity
    if activity is None:
        return "Ready"
    busy = [count(activity.busy_kernels, "kernel")] if activity.busy_kernels else []
    busy += [count(activity.busy_terminals, "terminal")] if activity.busy_terminals else []
    if busy:
        return " and ".join(busy) + " busy"
    return f"Idle, {count(activity.kernels, 'kernel')}" if activity.kernels else "No kernel yet"


def what_died(death: MemoryDeath) -> str:
    """Say in a few words what ran out of memory; its own message says all of it."""
    subject = {"kernel": "A kernel", "terminal": "A terminal", "server": "Its server"}.get(death.what, "Programs in it")
    amount = f": {used_of(death.peak, death.limit)}" if death.peak else ""
    return f"{subject} ran out of memory{amount}"


def place_of(session: Session) -> str:
    """Name where somebody was: the notebook last used, else the session."""
    return session.activity.notebook if session.activity and session.activity.notebook else session.name


def resume_url(session: Session) -> str:
    """Return the address that enters a session at the notebook last used, where one is known."""
    notebook = session.activity.notebook if session.activity else None
    inside = f"?{urlencode({'next': f'lab/tree/{quote(notebook)}'})}" if notebook else ""
    return f"/go/{session.id}{inside}"


def is_warned(session: Session, now: datetime, warning: timedelta) -> bool:
    """Tell whether the session will be stopped soon because nobody uses it."""
    return session.idle_stop_at is not None and session.idle_stop_at - now <= warning


def last_used(session: Session) -> datetime:
    """Return when a session was last of use to its person."""
    active = session.activity.last_active_at if session.activity else None
    known = (active, session.ended_at, session.ready_at, session.started_at, session.created_at)
    return max(at for at in known if at is not None)


def what_is_safe(session: Session) -> str:
    """Say what is left after a session's end."""
    if session.ready_at is None:
        return "It never became ready, so nothing was lost. Files are as they were."
    return "Files and saved output are here. Variables of its kernels are gone."


def through(member: Member) -> str:
    """Say how somebody came to their role: `given by Ana Ruiz`."""
    words = {"created": "made it", "given": "given", "invitation": "invited", "handed-over": "handed over", None: ""}
    return words[member.through] + (f" by {member.given_by.display_name}" if member.given_by else "")


def filters(now: Callable[[], datetime], idle_warning: timedelta) -> dict[str, Callable[..., object]]:
    """Return all filters by name; `now` tells the time, `idle_warning` how long before an idle stop warns."""
    plain = (
        state_look,
        environment_look,
        exact,
        seconds,
        duration,
        count,
        doing,
        what_died,
        place_of,
        resume_url,
        last_used,
        what_is_safe,
        device,
        through,
    )
    return {
        **{function.__name__: function for function in plain},
        "is_warned": lambda session: is_warned(session, now(), idle_warning),
        "amounts": amounts.describe,
        "used_of": used_of,
        "processors": amounts.processors,
        "hours": amounts.hours,
        "processors_of": amounts.processors_of,
        "size": describe_size,
        "ago": lambda at: ago(at, now()),
        "since": lambda at: seconds((now() - at).total_seconds()),
    }


def _span(span: timedelta) -> str:
    total = int(span.total_seconds())
    if total < 10:
        return ""
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min"
    if total < 48 * 3600:
        return f"{total // 3600} h"
    return f"{total // 86400} days"


def _coming(span: timedelta) -> str:
    """Round: what was given seven days a moment ago ends in seven, not in six, and 90 minutes are not an hour."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if span.total_seconds() >= 2 * size:
            return f"{round(span.total_seconds() / size)} {unit}"
    return f"{round(span.total_seconds())} s"
