"""Commands on sessions."""

from typing import Annotated, Any

import typer

from studiolo.cli.amounts import (
    CPUOption,
    DiskOption,
    EngineOption,
    GPUOption,
    GPUTypeOption,
    ImageOption,
    MemoryOption,
    ProfileOption,
    TimeLimitOption,
    asked_for,
)
from studiolo.cli.arguments import SessionArgument, complete_workspaces
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, print_fields, say
from studiolo.cli.places import absolute_if_folder
from studiolo.cli.session_table import print_sessions, tell_death
from studiolo.cli.waiting import cancelling, going_on, wait_until_ready, why
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.models import Session, SessionState
from studiolo.sdk import Studiolo


def start(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="WORKSPACE",
            help="Workspace (name, owner/name, id), or a stopped session to start again.",
            autocompletion=complete_workspaces,
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the session, unique in its workspace.")
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", metavar="WORKSPACE", help="A workspace, or a folder of the platform's machine."),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            "--password", metavar="PASSWORD", help="Asked of everybody who enters, in addition to their sign-in."
        ),
    ] = None,
    ask_password: Annotated[
        bool, typer.Option("--ask-password", help="Ask for that password, so that no process list shows it.")
    ] = False,
    profile: ProfileOption = None,
    cpu: CPUOption = None,
    memory: MemoryOption = None,
    gpu: GPUOption = None,
    gpu_type: GPUTypeOption = None,
    disk: DiskOption = None,
    image: ImageOption = None,
    time_limit: TimeLimitOption = None,
    engine: EngineOption = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ready.")] = True,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="The same as --no-wait.")] = False,
) -> None:
    """Start a session: JupyterLab in a workspace. Prints its name, id and address.

    A workspace gets one more session; `open` goes back to the one that runs. Starting a session that runs changes
    nothing. For a folder that no workspace has yet, the workspace is created. Ctrl-C while it starts cancels the start.

    \b
    Examples:
      studiolo start churn
      studiolo start churn --name training --profile large
      studiolo start churn --cpu=4 --memory=16g --detach
      studiolo start churn --engine slurm --time-limit 8h
    """
    if (target is None) == (workspace is None):
        raise InvalidInput(
            "usage-invalid",
            "Name one workspace." if target else "In which workspace is missing.",
            hint=f"{current().program} start WORKSPACE, or {current().program} start --workspace FOLDER",
        )
    place = absolute_if_folder(workspace or target or "")
    if ask_password:
        password = typer.prompt("Password of the session", hide_input=True, confirmation_prompt=True, err=True)
    wanted = asked_for(
        cpu=cpu, memory=memory, gpu=gpu, gpu_type=gpu_type, disk=disk, image=image, time_limit=time_limit
    )
    new = {"name": name, "password": password, "profile": profile, "resources": wanted, "engine": engine}
    with connect() as client:
        session = _launch(client, place, {member: value for member, value in new.items() if value is not None})
        with cancelling(client, session):
            if not current().json:
                _print_session(session)
                if session.isolation_notice:
                    say(f"note: {session.isolation_notice}")
            if wait and not detach:
                session = wait_until_ready(client, session)
    emit(session, lambda: None)
    tell_death(session)


def stop(
    session: SessionArgument,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="What its person reads with the reason.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")] = True,
) -> None:
    """Stop a session; its files stay."""
    with connect() as client:
        stopped = client.sessions.stop(session, note=note, wait_seconds=30.0 if wait else 0.0)
    word = "Stopped" if stopped.state in (SessionState.STOPPED, SessionState.FAILED) else "Stopping"
    emit(stopped, lambda: print(f"{word} {stopped.workspace.name}/{stopped.name} ({stopped.id})."))


def restart(
    session: SessionArgument,
    cpu: CPUOption = None,
    memory: MemoryOption = None,
    gpu: GPUOption = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ready.")] = True,
) -> None:
    """Restart a session: its server and kernels end and start anew.

    \b
    Examples:
      studiolo restart churn
      studiolo restart churn --memory 8g
    """
    with connect() as client:
        begun = client.sessions.restart(session, resources=asked_for(cpu=cpu, memory=memory, gpu=gpu))
        with going_on(begun):
            if not current().json:
                _print_session(begun)
            emit(wait_until_ready(client, begun) if wait else begun, lambda: None)


def sessions(
    workspace: Annotated[
        str | None,
        typer.Argument(metavar="WORKSPACE", help="Only those of this workspace.", autocompletion=complete_workspaces),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Those of others too.")] = False,
) -> None:
    """List your sessions, stopped ones too."""
    with connect() as client:
        found = list(client.sessions.list(workspace=workspace, everyone=everyone, page_size=200))
    print_sessions(found, everyone=everyone or workspace is not None)


def logs(
    session: SessionArgument,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="NUMBER", min=1, max=2000, help="How many, from the end.")
    ] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each new line, until it ends.")] = False,
) -> None:
    """Show the end of a session's log, and follow it.

    \b
    Example:
      studiolo logs churn --follow
    """
    if follow and not current().json:
        _follow(session, lines)
        return
    with connect() as client:
        log = client.sessions.log(session, lines=lines)

    def text() -> None:
        print("\n".join(log.lines) if log.lines else "", end="\n" if log.lines else "")
        if log.truncated:
            say(f"These are the last {len(log.lines)} lines; --lines shows more.")

    emit(log, text)


def _follow(session: str, lines: int) -> None:
    with connect() as client:
        for line in client.sessions.follow_log(session, lines=lines):
            print(line, flush=True)
        ended = client.sessions.get(session)
    if ended.reason:
        say(f"{ended.name} ended: {why(ended.reason)}")


def _launch(client: Studiolo, place: str, new: dict[str, Any]) -> Session:
    """Launch a session, or start the one that `place` or the name means if it exists already.

    `new`: what only a new session can be given: name, password, profile, resources.
    """
    try:
        return client.sessions.launch(place, **new)
    except NotFound as missing:
        if missing.code != "workspace-not-found" or not new.keys() <= {"resources"}:
            raise
        try:
            return client.sessions.start(place, resources=new.get("resources"))
        except NotFound:
            raise missing from None
    except Conflict as conflict:
        if conflict.code != "session-exists" or not new.keys() <= {"name", "resources"}:
            raise
        same = [s for s in client.sessions.list(page_size=200) if s.name == new["name"] and _is_in(client, s, place)]
        if len(same) != 1:
            raise
        return client.sessions.start(same[0].id, resources=new.get("resources"))


def _is_in(client: Studiolo, session: Session, place: str) -> bool:
    """Tell whether a session's workspace is the one that `place` (folder, name, owner/name, id) means."""
    held = session.workspace
    if place.startswith("/"):
        return client.workspaces.get(held.id).path == place
    return place in (held.id, held.name, f"{held.owner}/{held.name}")


def _print_session(session: Session) -> None:
    print_fields((("Name", session.name), ("Id", session.id), ("URL", session.notebook_url)))
