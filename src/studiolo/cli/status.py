"""What runs and how it is."""

from typing import Annotated

import typer

from studiolo.cli.amounts import cpu_of, describe, memory_of
from studiolo.cli.arguments import complete_workspaces
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, name_of, print_fields, say, state_of
from studiolo.cli.session_table import busy, tell_death, told
from studiolo.cli.tables import print_table
from studiolo.cli.waiting import why
from studiolo.contract.errors import NotFound
from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.contract.models import Session, Workspace
from studiolo.sdk import Studiolo


def status(
    target: Annotated[
        str | None,
        typer.Argument(metavar="WORKSPACE", help="A workspace or a session.", autocompletion=complete_workspaces),
    ] = None,
) -> None:
    """Show what runs: everywhere, in a workspace, or one session."""
    with connect() as client:
        if target is None:
            _show_platform(client)
            return
        found = _find(client, target)
        if isinstance(found, Session):
            _show_session(found)
            return
        held = list(client.sessions.list(workspace=found.id, page_size=200))
    _show_workspace(found, held)


def _find(client: Studiolo, target: str) -> Workspace | Session:
    if looks_like_id(target, IdKind.SESSION):
        return client.sessions.get(target)
    try:
        return client.workspaces.get(target)
    except NotFound as missing:
        try:
            return client.sessions.get(target)
        except NotFound:
            raise missing from None


def _show_platform(client: Studiolo) -> None:
    platform = client.platform.get()
    alive = list(client.sessions.list(states=("starting", "running", "stopping", "unknown"), page_size=200))

    def text() -> None:
        print_fields(
            (
                ("Platform", f"{client.url} (Studiolo {platform.version})"),
                ("Isolation", platform.isolation),
                ("Running", f"{len(alive)} of your sessions" if alive else "none of your sessions"),
            )
        )
        if alive:
            print()
            _print_live(alive)

    emit({"url": client.url, "platform": platform, "sessions": alive}, text)


def _show_workspace(workspace: Workspace, sessions: list[Session]) -> None:
    def text() -> None:
        print_fields(
            (
                ("Workspace", f"{name_of(workspace)} ({workspace.id})"),
                ("Next session", ", ".join(filter(None, (workspace.profile, describe(workspace.resources))))),
                ("Environment", workspace.environment.state),
                ("", workspace.environment.message or ""),
            )
        )
        print()
        _print_live(sessions)

    emit({"workspace": workspace, "sessions": sessions}, text)


def _show_session(session: Session) -> None:
    activity = session.activity

    def text() -> None:
        print_fields(
            (
                ("Session", f"{session.workspace.name}/{session.name} ({session.id})"),
                ("State", state_of(session)),
                ("Now", told(session)),
                ("Engine", f"{session.engine} (isolation {session.isolation})"),
                ("Since", ago(session.ended_at or session.ready_at or session.created_at)),
                ("Why", why(session.reason) if session.reason else ""),
                ("What to do", (session.reason.hint or "") if session.reason else ""),
                ("Out of memory", session.last_death.message if session.last_death else ""),
                ("May use", ", ".join(filter(None, (session.profile, describe(session.resources))))),
                ("Uses", _uses(session)),
                ("Stops", f"{ago(session.idle_stop_at)} if nobody uses it" if session.idle_stop_at else ""),
                ("Ends", f"{ago(session.ends_at)}: its time limit" if session.ends_at else ""),
                ("Kernels", _kernels(session)),
                ("Environment", activity.environment_note if activity else ""),
                ("Notebook", (activity.notebook or "") if activity else ""),
                ("Last active", ago(activity.last_active_at) if activity else ""),
                ("Launches", str(session.launch)),
                ("URL", session.notebook_url),
            )
        )
        if session.reason and session.reason.log_tail:
            say("\n".join(("", "End of its log:", *session.reason.log_tail)))

    emit(session, text)


def _kernels(session: Session) -> str:
    if session.activity is None:
        return ""
    fragile = "" if session.activity.kernels_survive else "; they end with the session's server (its log says why)"
    return f"{busy(session)} busy{fragile}"


def _uses(session: Session) -> str:
    if session.usage is None:
        return ""
    return f"{cpu_of(session.usage, session.resources)} CPU, {memory_of(session.usage, session.resources)} memory"


def _print_live(sessions: list[Session]) -> None:
    rows = [
        (
            session.name,
            session.workspace.name,
            state_of(session),
            memory_of(session.usage, session.resources),
            busy(session),
            ago(session.ended_at or session.ready_at or session.created_at),
            session.reason.message
            if session.reason
            else told(session) or (session.activity and session.activity.notebook) or "",
        )
        for session in sessions
    ]
    headers = ("SESSION!", "WORKSPACE", "STATE!", "MEMORY!", "BUSY!", "SINCE!", "NOTEBOOK OR REASON")
    print_table(headers, rows, empty=f"No sessions. Start one: {current().program} start WORKSPACE")
    for session in sessions:
        tell_death(session)
