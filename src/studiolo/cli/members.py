"""Commands on who has access to a workspace."""

from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, say
from studiolo.cli.tables import print_table
from studiolo.contract.operations import Role


def members(workspace: WorkspaceArgument) -> None:
    """List who has access to a workspace."""
    with connect() as client:
        found = client.workspaces.members(workspace)
    rows = [(m.person.name, m.person.display_name, m.role, ago(m.since)) for m in found]
    emit(found, lambda: print_table(("NAME!", "PERSON", "ROLE!", "SINCE!"), rows, empty="Nobody."))


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


def revoke(
    workspace: WorkspaceArgument,
    user: Annotated[str, typer.Argument(metavar="PERSON", help="Name, e-mail or id of the person.")],
) -> None:
    """Take somebody's access to a workspace away."""
    with connect() as client:
        client.workspaces.remove_member(workspace, user)
    data = {"workspace": workspace, "person": user, "removed": True}
    emit(data, lambda: print(f"{user} has no access to {workspace} any more."))
