"""Commands for administrators: people, and the record of changes."""

from itertools import islice
from typing import Annotated

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, say
from studiolo.cli.tables import print_table


def list_() -> None:
    """List the platform's people."""
    with connect() as client:
        people = list(client.people.list(page_size=200))
    rows = [
        (p.name, p.display_name, p.email or "", "admin" if p.is_admin else "member", ago(p.last_seen_at) or "never")
        for p in people
    ]
    headers = ("NAME!", "PERSON", "E-MAIL", "ROLE!", "SEEN!")
    emit(people, lambda: print_table(headers, rows, empty="Nobody."))


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name to sign in with.")],
    email: Annotated[str | None, typer.Option("--email", metavar="EMAIL", help="E-mail address.")] = None,
    display_name: Annotated[
        str | None, typer.Option("--display-name", metavar="NAME", help="Name that others see.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Make an administrator.")] = False,
) -> None:
    """Add a person. Prints the one-time link by which they sign in for the first time."""
    with connect() as client:
        link = client.people.create(name, display_name=display_name, email=email, is_admin=admin)

    def text() -> None:
        print(link.url)
        say(f"Give {link.person.display_name} this link; it works once and ends {ago(link.expires_at)}.")

    emit(link, text)
    if link.notice:
        say(f"note: {link.notice}")


def audit(
    limit: Annotated[int, typer.Option("--limit", metavar="NUMBER", min=1, help="How many events, newest first.")] = 50,
) -> None:
    """Show the record of changes, newest first."""
    with connect() as client:
        events = list(islice(client.audit.list(page_size=min(limit, 200)), limit))
    rows = [(ago(e.at), e.actor.name if e.actor else e.via, e.via, e.action, e.target) for e in events]
    headers = ("WHEN!", "WHO!", "VIA!", "ACTION!", "ON")
    emit(events, lambda: print_table(headers, rows, empty="Nothing was changed yet."))
