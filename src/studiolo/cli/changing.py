"""Commands that change a workspace as a whole: rename, duplicate, transfer, reset, clear-cache."""

from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, name_of, say
from studiolo.cli.trash import confirm
from studiolo.contract.sizes import describe_size

NewName = Annotated[str, typer.Argument(metavar="NAME", help="The new name.", show_default=False)]


def rename(workspace: WorkspaceArgument, name: NewName) -> None:
    """Rename a workspace; its id stays, and its old name leads to the new one."""
    with connect() as client:
        changed = client.workspaces.update(workspace, name=name)
    emit(changed, lambda: print(f"Renamed {workspace} to {name_of(changed)} ({changed.id})."))


def duplicate(workspace: WorkspaceArgument, name: NewName) -> None:
    """Copy a workspace's files and configuration to a new one of yours.

    \b
    Example:
      studiolo duplicate churn churn-copy
    """
    with connect() as client:
        copy = client.workspaces.duplicate(workspace, name)
    emit(copy, lambda: print(f"Created {name_of(copy)} ({copy.id})."))


def transfer(
    workspace: WorkspaceArgument,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Name, e-mail or id of the new owner.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Make somebody else the owner of a workspace."""
    with connect() as client:
        found = client.workspaces.get(workspace)
        if not yes:
            confirm(f"Hand {found.owner.name}/{found.name} over to {person}?", what="Handing it over")
        given = client.workspaces.transfer(found.id, person)
    emit(given, lambda: print(f"{given.owner.name} owns {given.name} ({given.id}) now."))


def reset(
    workspace: WorkspaceArgument,
    hard: Annotated[bool, typer.Option("--hard", help="Stop its sessions first, and clear its caches too.")] = False,
    delete_files: Annotated[
        bool, typer.Option("--delete-files", help="Put its notebooks and data into the trash too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put a workspace's environment back to the platform's default; its files stay.

    While sessions run in it, --hard is needed, which stops them.

    \b
    Examples:
      studiolo reset churn --hard
      studiolo reset churn --hard --delete-files --yes
    """
    with connect() as client:
        found = client.workspaces.get(workspace)
        if delete_files and not yes:
            confirm(f"Reset {found.owner.name}/{found.name} and put its files into the trash?", what="Deleting files")
        name = found.name if delete_files else None
        anew = client.workspaces.reset(found.id, hard=hard, delete_files=delete_files, confirm=name)
    emit(anew, lambda: print(f"Reset {name_of(anew)}; its environment is {anew.environment.state}."))
    if found.running_sessions:
        say(f"Its sessions were stopped. Open it again: {current().program} open {name_of(anew)}")


def clear_cache(workspace: WorkspaceArgument) -> None:
    """Delete what a workspace can download or make again: package and notebook caches."""
    with connect() as client:
        freed = client.workspaces.clear_cache(workspace)
    emit({"workspace": workspace, "freed": freed}, lambda: print(f"Freed {describe_size(freed)} in {workspace}."))
