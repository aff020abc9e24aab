"""Commands on deleted workspaces."""

import sys
from typing import Annotated

import typer

from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, name_of, say
from studiolo.cli.tables import print_table
from studiolo.contract.details import TrashedWorkspace
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.sdk import Studiolo

TrashedArgument = Annotated[
    str, typer.Argument(metavar="WORKSPACE", help="Name or id of a deleted workspace.", show_default=False)
]


def list_() -> None:
    """List your deleted workspaces that can still come back."""
    with connect() as client:
        found = list(client.workspaces.trash(page_size=200))
    rows = [(t.name, t.owner.name, ago(t.deleted_at), ago(t.erased_after), t.id) for t in found]
    headers = ("NAME!", "OWNER!", "DELETED!", "ERASED!", "ID!")
    emit(found, lambda: print_table(headers, rows, empty="The trash is empty."))


def restore(workspace: TrashedArgument) -> None:
    """Bring a deleted workspace back with its files."""
    with connect() as client:
        back = client.workspaces.restore(_find(client, workspace).id)

    def text() -> None:
        print(f"Restored {name_of(back)} ({back.id}).")
        say(f"Open it: {current().program} open {name_of(back)}")

    emit(back, text)


def erase(
    workspace: TrashedArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Erase a deleted workspace for good; nothing brings it back."""
    with connect() as client:
        found = _find(client, workspace)
        if not yes:
            confirm(f"Erase {found.owner.name}/{found.name} with its files for good?", what="Erasing it")
        client.workspaces.erase(found.id, confirm=found.name)
    emit({"id": found.id, "erased": True}, lambda: print(f"Erased {found.owner.name}/{found.name} ({found.id})."))


def confirm(question: str, *, what: str) -> None:
    """Ask on the terminal. Raises InvalidInput where nobody can answer, or when the answer is no."""
    if not sys.stdin.isatty():
        raise InvalidInput(
            "confirmation-needed", f"{what} must be confirmed.", hint="Pass --yes to go on without a question."
        )
    if not typer.confirm(question, err=True):
        raise InvalidInput("cancelled", "Cancelled; nothing was changed.")


def _find(client: Studiolo, reference: str) -> TrashedWorkspace:
    fitting = [
        t for t in client.workspaces.trash(page_size=200) if reference in (t.id, t.name, f"{t.owner.name}/{t.name}")
    ]
    if not fitting:
        raise NotFound(
            "trash-not-found",
            f"There is no {reference!r} in your trash.",
            hint=f"`{current().program} trash list` shows what is.",
        )
    if len(fitting) > 1:
        raise Conflict(
            "workspace-ambiguous",
            f"Several deleted workspaces are named {reference!r}: {', '.join(t.id for t in fitting)}.",
            hint="Name one by its id.",
            candidates=[t.id for t in fitting],
        )
    return fitting[0]
