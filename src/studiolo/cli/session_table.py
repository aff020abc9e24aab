"""How sessions are shown."""

from studiolo.cli.invocation import current
from studiolo.cli.output import ago, emit, state_of
from studiolo.cli.tables import print_table
from studiolo.contract.models import Session


def print_sessions(sessions: list[Session], *, everyone: bool = False) -> None:
    """Print a table of sessions, with their people if they may be anybody's."""
    headers = ["NAME!", "WORKSPACE", *(["PERSON"] if everyone else []), "STATE!", "BUSY!", "SINCE!", "ID!"]
    rows = [
        [
            session.name,
            session.workspace.name,
            *([session.person.name] if everyone else []),
            state_of(session),
            busy(session),
            ago(session.ended_at or session.ready_at or session.created_at),
            session.id,
        ]
        for session in sessions
    ]
    empty = f"No sessions. Start one: {current().program} start WORKSPACE"
    emit(sessions, lambda: print_table(headers, rows, empty=empty))


def busy(session: Session) -> str:
    """Return how many kernels work, for example `1 of 2`."""
    if session.activity is None or session.state != "running":
        return "-"
    return f"{session.activity.busy_kernels} of {session.activity.kernels}"
