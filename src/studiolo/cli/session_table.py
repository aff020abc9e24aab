"""How sessions are shown."""

from studiolo.cli.amounts import cpu_of, memory_of
from studiolo.cli.invocation import current
from studiolo.cli.output import ago, emit, say, state_of
from studiolo.cli.tables import print_table
from studiolo.contract.models import Session


def print_sessions(sessions: list[Session], *, everyone: bool = False) -> None:
    """Print a table of sessions, with their people if they may be anybody's."""
    people = ["PERSON"] if everyone else []
    headers = ["NAME!", "WORKSPACE", *people, "STATE!", "CPU!", "MEMORY!", "BUSY!", "SINCE!", "ID!"]
    rows = [
        [
            session.name,
            session.workspace.name,
            *([session.person.name] if everyone else []),
            state_of(session),
            cpu_of(session.usage, session.resources),
            memory_of(session.usage, session.resources),
            busy(session),
            ago(session.ended_at or session.ready_at or session.created_at),
            session.id,
        ]
        for session in sessions
    ]
    empty = f"No sessions. Start one: {current().program} start WORKSPACE"
    emit(sessions, lambda: print_table(headers, rows, empty=empty))
    for session in sessions:
        tell_death(session)


def tell_death(session: Session) -> None:
    """Say, if something of a session ran out of memory, what and what to do."""
    if session.last_death and not current().json:
        say(
            f"note: {session.workspace.name}/{session.name}, {ago(session.last_death.at)}: {session.last_death.message}"
        )


def told(session: Session) -> str:
    """Return what a start waits for, with when it is expected: `In the queue: Priority. Begins in 6 min.`."""
    if session.progress is None:
        return ""
    expected = session.progress.expected_start
    return session.progress.message + (f" Begins {ago(expected)}." if expected else "")


def busy(session: Session) -> str:
    """Return how many kernels work, for example `1 of 2`."""
    if session.activity is None or session.state != "running":
        return "-"
    return f"{session.activity.busy_kernels} of {session.activity.kernels}"
