"""`move`: a workspace to another engine, with its files."""

import sys
from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect
from studiolo.cli.output import emit, print_fields, say
from studiolo.contract.errors import CODES, Conflict, InvalidInput
from studiolo.contract.moves import MoveProgress
from studiolo.contract.sizes import describe_size
from studiolo.sdk import Studiolo


def move(
    workspace: WorkspaceArgument,
    engine: Annotated[
        str | None, typer.Argument(metavar="ENGINE", help="Where to; left out, the last move is shown.")
    ] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Take the move back; changes made on the other engine go.")
    ] = False,
    confirm: Annotated[bool, typer.Option("--confirm", help="Let go of what it left where it came from.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the files are there.")] = True,
) -> None:
    """Move a workspace to another engine with its files, or show how that goes.

    No session of it may run. Every file is checked. What it leaves is kept until you confirm the move. Ctrl-C while
    it waits leaves the move going on.

    \b
    Examples:
      studiolo move churn kubernetes
      studiolo move churn
      studiolo move churn --confirm
    """
    if sum((engine is not None, cancel, confirm)) > 1:
        raise InvalidInput("usage-invalid", "Give an engine, --cancel or --confirm: one of them.")
    with connect() as client:
        if engine is not None:
            told = client.workspaces.move(workspace, engine)
        elif cancel:
            told = client.workspaces.cancel_move(workspace)
        elif confirm:
            told = client.workspaces.confirm_move(workspace)
        else:
            wait, told = False, client.workspaces.move_progress(workspace)
        if wait:
            told = _follow(client, workspace)
    if engine is not None and told.state in ("failed", "cancelled"):
        code = told.code if told.code in CODES else "move-failed"
        raise Conflict(code or "move-failed", told.message or "The move was taken back; the workspace is where it was.")
    emit(told, lambda: _print(told, workspace))


def _follow(client: Studiolo, workspace: str) -> MoveProgress:
    is_shown = sys.stderr.isatty()
    told = client.workspaces.wait_for_move(workspace, tell=_show if is_shown else _silent)
    if is_shown:
        sys.stderr.write("\r\x1b[K")
    return told


def _show(told: MoveProgress) -> None:
    percent = f" {told.percent} %" if told.percent is not None else ""
    sys.stderr.write(f"\r{told.state}{percent} {told.message or ''}\x1b[K")


def _silent(told: MoveProgress) -> None:
    pass


def _print(told: MoveProgress, workspace: str) -> None:
    if told.state == "none":
        print("It has not moved.")
        return
    total = "" if told.files_total is None else f" of {told.files_total}"
    of_bytes = "" if told.bytes_total is None else f" of {describe_size(told.bytes_total)}"
    fields = {
        "State": told.state,
        "From": told.came,
        "To": told.goes,
        "Files": f"{told.files_done}{total}, {describe_size(told.bytes_done)}{of_bytes}",
    }
    print_fields([*fields.items(), *([("Note", told.message)] if told.message else [])])
    if told.state == "moved":
        say(f"Look at it there, then: studiolo move {workspace} --confirm (or --cancel).")
