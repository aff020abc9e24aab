"""Commands on invitations: one-time links by which people join."""

from typing import Annotated

import typer

from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, say
from studiolo.cli.tables import print_table
from studiolo.contract.errors import InvalidInput, NotFound
from studiolo.contract.operations import Role
from studiolo.contract.people import Granted, Invitation, InvitationLink
from studiolo.sdk import Studiolo

InvitationArgument = Annotated[
    str, typer.Argument(metavar="INVITATION", help="Id, or the name or e-mail invited.", show_default=False)
]


def invite(
    to: Annotated[str, typer.Argument(metavar="NAME_OR_EMAIL", help="Whom to invite.", show_default=False)],
    admin: Annotated[bool, typer.Option("--admin", help="Make an administrator.")] = False,
    workspace: Annotated[
        list[str] | None,
        typer.Option("--workspace", "-w", metavar="WORKSPACE=ROLE", help="Role that comes with it; may be repeated."),
    ] = None,
) -> None:
    """Invite somebody by a one-time link; they choose name and password themselves.

    \b
    Examples:
      studiolo people invite ana@example.com --workspace churn=editor
      studiolo people invite leo --admin
    """
    roles = dict(_role(given) for given in workspace or [])
    with connect() as client:
        _hand_out(client.invitations.create(to, is_admin=admin, workspaces=roles))


def invitations() -> None:
    """List invitations that nobody has used yet."""
    with connect() as client:
        found = list(client.invitations.list(page_size=200))
    rows = [(one.to, _brings(one), _inviter(one), ago(one.expires_at), one.id) for one in found]
    headers = ("TO!", "BRINGS", "FROM!", "ENDS!", "ID!")
    emit(found, lambda: print_table(headers, rows, empty="Nobody is invited."))


def renew(invitation: InvitationArgument) -> None:
    """Make a new link for an invitation; the old one ends."""
    with connect() as client:
        _hand_out(client.invitations.renew(_find(client, invitation).id))


def withdraw(invitation: InvitationArgument) -> None:
    """Withdraw an invitation; its link ends."""
    with connect() as client:
        found = _find(client, invitation)
        client.invitations.withdraw(found.id)
    emit({"id": found.id, "withdrawn": True}, lambda: print(f"Withdrew the invitation of {found.to}."))


def _hand_out(made: InvitationLink) -> None:
    def text() -> None:
        print(made.text, end="")
        say(f"Sent to {made.to}." if made.mailed_at and not made.problem else f"Send {made.to} this text.")

    emit(made, text)
    if made.problem:
        say(f"note: {made.problem}")


def _role(given: str) -> tuple[str, Role]:
    workspace, _, role = given.partition("=")
    try:
        return workspace, Role(role or Role.EDITOR)
    except ValueError as exc:
        raise InvalidInput(
            "role-unknown", f"{role[:40]!r} is no role.", hint="Say WORKSPACE=owner, editor or viewer."
        ) from exc


def _find(client: Studiolo, reference: str) -> Invitation:
    for one in client.invitations.list(page_size=200):
        if reference in (one.id, one.to) or reference.lower() == one.to:
            return one
    raise NotFound(
        "invitation-not-found",
        f"Nobody is invited as {reference[:80]!r}.",
        hint=f"`{current().program} people invitations` lists those who are.",
    )


def _brings(one: Invitation) -> str:
    return ", ".join([*(["administrator"] if one.is_admin else []), *map(_granted, one.workspaces)])


def _granted(one: Granted) -> str:
    return f"{one.workspace.owner}/{one.workspace.name} ({one.role})"


def _inviter(one: Invitation) -> str:
    return one.invited_by.name if one.invited_by else "operator"
