"""Commands for administrators: people."""

from typing import Annotated, Literal

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, print_fields, say
from studiolo.cli.tables import print_table
from studiolo.contract.devices import device
from studiolo.contract.models import Person

PersonArgument = Annotated[
    str, typer.Argument(metavar="PERSON", help="Name, e-mail or id of the person.", show_default=False)
]


def list_(
    text: Annotated[
        str | None, typer.Option("--filter", metavar="TEXT", help="Only those with this in name or address.")
    ] = None,
    admins: Annotated[bool, typer.Option("--admins", help="Only administrators.")] = False,
    suspended: Annotated[bool, typer.Option("--suspended", help="Only those who are suspended.")] = False,
) -> None:
    """List the platform's people: when they were last here and what they use."""
    kind: Literal["administrators", "suspended"] | None = None
    if admins or suspended:
        kind = "suspended" if suspended else "administrators"
    with connect() as client:
        people = list(client.people.list(text=text, kind=kind, page_size=200))
    rows = [
        (
            p.name,
            p.display_name,
            p.email or "",
            _kind(p),
            ago(p.last_seen_at) or "never",
            str(p.workspaces),
            f"{p.running_sessions} running, {p.session_hours:g} h",
        )
        for p in people
    ]
    headers = ("NAME!", "PERSON", "E-MAIL", "KIND!", "SEEN!", "WORKSPACES!", "USE (30 D)!")
    emit(people, lambda: print_table(headers, rows, empty="Nobody."))


def show(person: PersonArgument) -> None:
    """Show what a person has access to: workspaces, keys, logins, sessions."""
    with connect() as client:
        found = client.people.access(person)

    def text() -> None:
        who = found.person
        seen = ago(who.last_seen_at) or "never"
        fields = [("Person", f"{who.display_name} ({who.name})"), ("E-mail", who.email or ""), ("Kind", _kind(who))]
        print_fields([*fields, ("Seen", seen), ("Since", ago(who.created_at))])
        print()
        rows = [
            (
                f"{w.workspace.owner}/{w.workspace.name}",
                w.role,
                ago(w.since),
                w.through or "",
                ago(w.last_there_at) or "never",
            )
            for w in found.workspaces
        ]
        headers = ("WORKSPACE!", "ROLE!", "SINCE!", "THROUGH!", "LAST THERE!")
        print_table(headers, rows, empty="No workspaces.")
        print()
        others = [("key", k.name, ago(k.last_used_at) or "never", ago(k.expires_at)) for k in found.keys]
        others += [
            ("login", device(login.user_agent), ago(login.last_seen_at), ago(login.expires_at))
            for login in found.logins
        ]
        others += [("session", f"{s.workspace.name}/{s.name}", ago(s.started_at), "") for s in found.sessions]
        print_table(("WHAT!", "NAME", "USED!", "ENDS!"), others, empty="No keys, logins or running sessions.")

    emit(found, text)


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


def reset(person: PersonArgument) -> None:
    """Print a new one-time sign-in link for somebody who cannot get in. Earlier unused ones end."""
    with connect() as client:
        link = client.people.sign_in_link(person)

    def text() -> None:
        print(link.url)
        say(f"Give {link.person.display_name} this link; it works once and ends {ago(link.expires_at)}.")

    emit(link, text)


def _kind(person: Person) -> str:
    if person.suspended_at is not None:
        return "suspended"
    return "admin" if person.is_admin else "member"
