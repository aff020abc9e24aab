"""Commands that change what a person may do: suspend, reinstate, promote, demote, hand over, erase."""

from typing import Annotated

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import emit, say
from studiolo.cli.people import PersonArgument
from studiolo.cli.trash import confirm

_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def suspend(person: PersonArgument, yes: _Yes = False) -> None:
    """Keep a person out: logins, keys and what they have running end. Their workspaces stay with their members."""
    with connect() as client:
        found = client.people.access(person)
        who, running = found.person, len(found.sessions)
        if not yes:
            ending = f"; {running} running {'session stops' if running == 1 else 'sessions stop'}" if running else ""
            confirm(f"Suspend {who.display_name} ({who.name}){ending}?", what="Suspending somebody")
        client.people.suspend(who.id)
    emit({"person": who.name, "suspended": True}, lambda: print(f"Suspended {who.name}."))
    if found.person.workspaces:
        say(f"What they own can be handed over: studiolo people hand-over {who.name} --to PERSON")


def reinstate(person: PersonArgument) -> None:
    """Let a suspended person back in; they sign in anew and make new keys."""
    with connect() as client:
        client.people.reinstate(person)
    emit({"person": person, "suspended": False}, lambda: print(f"{person} may sign in again."))


def promote(person: PersonArgument) -> None:
    """Make somebody administrator."""
    _set_admin(person, True)


def demote(person: PersonArgument) -> None:
    """Make somebody administrator no longer; one remains."""
    _set_admin(person, False)


def hand_over(
    person: PersonArgument,
    to: Annotated[str, typer.Option("--to", metavar="PERSON", help="Who owns it from now on.")],
    yes: _Yes = False,
) -> None:
    """Hand all workspaces that a person owns over to another, at once."""
    with connect() as client:
        if not yes:
            confirm(f"Hand all that {person} owns over to {to}?", what="Handing over")
        handed = client.people.hand_over(person, to)

    def text() -> None:
        for one in handed.workspaces:
            renamed = f", which was {one.former_name}" if one.name != one.former_name else ""
            print(f"{handed.to.name} owns {one.name}{renamed} ({one.id}).")
        if not handed.workspaces:
            say(f"{handed.person.name} owns nothing.")

    emit(handed, text)


def erase(person: PersonArgument, yes: _Yes = False) -> None:
    """Erase what is personal of somebody who left; nothing brings it back.

    Name, address, keys and their own settings go. The record of changes stays, and names them by a pseudonym.
    """
    with connect() as client:
        who = client.people.access(person).person
        if not yes:
            confirm(f"Erase {who.display_name} ({who.name}) for good?", what="Erasing somebody")
        client.people.erase(who.id, confirm=who.name)
    emit({"id": who.id, "erased": True}, lambda: print(f"Erased {who.name} ({who.id})."))


def _set_admin(person: str, is_admin: bool) -> None:
    with connect() as client:
        found = client.people.set_admin(person, is_admin)
    words = "administrator" if is_admin else "no administrator any more"
    emit(found, lambda: print(f"{found.person.name} is {words}."))
