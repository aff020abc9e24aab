"""Commands on who has access to a workspace."""

from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, say
from studiolo.cli.tables import print_table
from studiolo.cli.trash import confirm
from studiolo.contract.operations import Role


def members(workspace: WorkspaceArgument) -> None:
    """List who has access to a workspace."""
    with connect() as client:
        found = client.workspaces.members(workspace)
    rows = [
        (
            m.person.name,
            m.person.display_name + (" (suspended)" if m.suspended else ""),
            m.role,
            ago(m.since),
            f"{m.through or ''}{f' by {m.given_by.name}' if m.given_by else ''}",
            ago(m.last_there_at) or "never",
        )
        for m in found
    ]
    headers = ("NAME!", "PERSON", "ROLE!", "SINCE!", "THROUGH", "LAST THERE!")
    emit(found, lambda: print_table(headers, rows, empty="Nobody."))


def access(
    workspace: WorkspaceArgument,
    user: Annotated[str, typer.Option("--user", metavar="PERSON", help="Name, e-mail or id of the person.")],
    role: Annotated[Role, typer.Option("--role", metavar="ROLE", help="owner, editor or viewer.")],
) -> None:
    """Give somebody access to a workspace, or change their role."""
    with connect() as client:
        member = client.workspaces.set_member(workspace, user, role)
        notice = client.platform.get().isolation_notice
    emit(member, lambda: print(f"{member.person.name} is {member.role} of {workspace}."))
    if notice:
        say(f"note: {notice}")


def leave(
    workspace: WorkspaceArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Give up your own access to a workspace; your sessions there end. Its last owner hands it over instead."""
    with connect() as client:
        found = client.workspaces.get(workspace)
        named = f"{found.owner.name}/{found.name}"
        if not yes:
            confirm(f"Leave {named}? Only an owner of it can let you in again.", what="Leaving")
        client.workspaces.leave(found.id)
    emit({"workspace": found.id, "left": True}, lambda: print(f"You have no access to {named} any more."))


def revoke(
    workspace: WorkspaceArgument,
    user: Annotated[str, typer.Argument(metavar="PERSON", help="Name, e-mail or id of the person.")],
) -> None:
    """Take somebody's access to a workspace away."""
    with connect() as client:
        client.workspaces.remove_member(workspace, user)
    data = {"workspace": workspace, "person": user, "removed": True}
    emit(data, lambda: print(f"{user} has no access to {workspace} any more."))
