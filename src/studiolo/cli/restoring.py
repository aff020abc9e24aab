"""Commands that have the environment of a notebook again, and write into one which it is."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.installing import NoWaitOption, finish, print_build
from studiolo.cli.invocation import connect
from studiolo.cli.output import emit, name_of, say
from studiolo.contract.environments import Build
from studiolo.contract.errors import InvalidInput, StudioloError

if TYPE_CHECKING:
    from studiolo.sdk import Studiolo

NotebookArgument = Annotated[
    Path, typer.Argument(metavar="NOTEBOOK", help="A notebook's file on this machine.", show_default=False)
]
NotebookOrLockArgument = Annotated[
    Path,
    typer.Argument(metavar="NOTEBOOK|LOCK", help="A notebook's file on this machine, or a lock's.", show_default=False),
]
WorkspaceOption = Annotated[
    str | None,
    typer.Option("--workspace", "-w", metavar="WORKSPACE", help="That of the session, when there is one."),
]


def restore(
    notebook: NotebookOrLockArgument,
    workspace: WorkspaceOption = None,
    new: Annotated[
        str | None, typer.Option("--new", metavar="NAME", help="Make a workspace of this name for it.")
    ] = None,
    no_wait: NoWaitOption = False,
) -> None:
    """Give a workspace the environment that a notebook ran in, or that a lock names.

    From a lock (a .toml file that `studiolo environment lock` wrote, here or elsewhere) alone. For a notebook, by the
    hash that it records, among the locks that you may read here; else it is put together from the packages in the
    notebook, if somebody had written them there (studiolo environment stamp --packages).
    """
    if new is not None and workspace is not None:
        raise InvalidInput("request-invalid", "--workspace and --new exclude each other.", hint="Give one of them.")
    with connect() as client:
        if new is not None:
            target, asked = _in_new(client, notebook, new)
        else:
            target = _workspace(workspace)
            asked = client.environments.restore_notebook(notebook, target)
        done = asked if no_wait else finish(client, target, asked)
    emit(done, lambda: print_build(done))


def stamp(
    notebook: NotebookArgument,
    workspace: WorkspaceOption = None,
    packages: Annotated[
        bool, typer.Option("--packages", help="With all packages, for people on other platforms.")
    ] = False,
) -> None:
    """Write into a notebook's metadata which environment a workspace has now."""
    target = _workspace(workspace)
    with connect() as client:
        client.environments.stamp_notebook(notebook, target, packages=packages)
    emit({"file": str(notebook)}, lambda: print(f"{notebook} says which environment {target} has."))


def _in_new(client: "Studiolo", notebook: Path, name: str) -> tuple[str, Build]:
    """Ask for the environment in a workspace made for it, which goes again where the answer is no."""
    from studiolo.sdk.notebook_files import is_lock, read_environment

    # What names no environment makes no workspace.
    if not is_lock(notebook):
        read_environment(notebook)
    made = client.workspaces.create(name)
    target = name_of(made)
    say(f"Made the workspace {target}.")
    try:
        return target, client.environments.restore_notebook(notebook, target)
    except StudioloError:
        try:
            client.workspaces.delete(made.id)
            client.workspaces.erase(made.id, confirm=made.name)
            say(f"Took the workspace {target} away again.")
        except StudioloError as kept:
            # Why the environment cannot be had is what matters.
            say(f"The workspace {target} could not be taken away again: {kept.message}")
        raise


def _workspace(named: str | None) -> str:
    found = named or os.environ.get("STUDIOLO_WORKSPACE")
    if not found:
        raise InvalidInput("request-invalid", "No workspace is named.", hint="Add --workspace NAME.")
    return found
