"""Commands on requests for packages: ask, review, approve, deny."""

from contextlib import suppress
from datetime import datetime, time
from itertools import islice
from typing import Annotated

import typer

from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, print_fields, say
from studiolo.cli.request_text import describe, how_it_goes, review_of
from studiolo.cli.tables import print_table
from studiolo.contract.environments import Ecosystem
from studiolo.contract.errors import InvalidInput
from studiolo.contract.requests import PackageRequest

RequestArgument = Annotated[str, typer.Argument(metavar="REQUEST", help="Its id.", show_default=False)]
_MOST = 1000


def request(
    workspace: Annotated[str, typer.Argument(metavar="WORKSPACE", help="Name, owner/name or id.", show_default=False)],
    packages: Annotated[
        list[str], typer.Argument(metavar="PACKAGE...", help="Names, or names and versions.", show_default=False)
    ],
    purpose: Annotated[str, typer.Option("--for", metavar="PURPOSE", help="What you need it for.")] = "",
    conda: Annotated[bool, typer.Option("--conda", help="Conda packages.")] = False,
) -> None:
    """Ask for packages that the workspace's policy does not allow, or join those who asked for them.

    \b
    Examples:
      studiolo request churn torch --for "the survival model"
      studiolo request churn "torch==2.9.0"
    """
    ecosystem: Ecosystem = "conda" if conda else "pypi"
    with connect() as client:
        made = [client.requests.create(workspace, one, purpose=purpose, ecosystem=ecosystem) for one in packages]

    def text() -> None:
        for asked in made:
            _print_asked(asked)
        say("What is approved installs by itself, and you are told: studiolo notifications")

    emit(made, text)


def requests(
    which: Annotated[str, typer.Argument(metavar="[mine]", help="`mine`: only what you asked for.")] = "",
    workspace: Annotated[
        str | None, typer.Option("--workspace", metavar="WORKSPACE", help="Only of this workspace.")
    ] = None,
    pending: Annotated[bool, typer.Option("--pending", help="Only those that wait for a decision.")] = False,
) -> None:
    """List requests for packages in your workspaces, newest first, and how they go."""
    if which not in ("", "mine"):
        raise InvalidInput("usage-invalid", f"{which!r} is not known here.", hint="studiolo requests, or requests mine")
    with connect() as client:
        listed = client.requests.list(
            state="pending" if pending else None, mine=which == "mine", workspace=workspace, page_size=200
        )
        found = list(islice(listed, _MOST))
    rows = [(one.id, f"{one.name}{one.specifier}", _place(one), _who(one), how_it_goes(one)) for one in found]
    emit(found, lambda: print_table(("ID!", "PACKAGE", "WORKSPACE", "PEOPLE", "STATE"), rows, empty="No requests."))


def review(
    request: Annotated[str, typer.Argument(metavar="[REQUEST]", help="Show this one in full.")] = "",
    pending: Annotated[bool, typer.Option("--pending", help="Only those that wait for a decision.")] = False,
) -> None:
    """Review requests for packages (administrators): who asks, why, and all that would come along."""
    with connect() as client:
        if request:
            one = client.requests.get(request)
            emit(one, lambda: _print(one))
            return
        found = list(islice(client.requests.list(state="pending" if pending else None, page_size=200), _MOST))
    rows = [
        (one.id, f"{one.name}{one.specifier}", _place(one), _who(one), review_of(one), ago(one.asked_at))
        for one in found
    ]
    headers = ("ID!", "PACKAGE", "WORKSPACE", "PEOPLE", "BRINGS", "ASKED!")
    emit(found, lambda: print_table(headers, rows, empty="Nobody is waiting."))
    if found and not current().json:
        say(f"In full: {current().program} review REQUEST. Then approve or deny it.")


def _read_moment(text: str) -> datetime:
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M"):
        with suppress(ValueError):
            return datetime.strptime(text, form)
    raise typer.BadParameter(f"{text!r} is no day: write 2026-12-24, or 2026-12-24T18:00")


def approve(
    request: RequestArgument,
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE", help="workspace, or global: everywhere.")
    ] = "workspace",
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            metavar="DATE",
            parser=_read_moment,
            help="Its last day, or when it ends (your time).",
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSIONS", help="Only these: 2.9.0, or '<3'.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; needed with --exception.")] = "",
    exception: Annotated[bool, typer.Option("--exception", help="Lift blocks too.")] = False,
    with_dependencies: Annotated[
        bool, typer.Option("--with-dependencies", help="Allow what it needs and the policy refuses, too.")
    ] = False,
) -> None:
    """Approve a request for a package (administrators). It installs by itself, and who asked is told."""
    if scope not in ("workspace", "global"):
        raise InvalidInput("usage-invalid", f"{scope!r} is no scope.", hint="Give --scope workspace or --scope global.")
    with connect() as client:
        done = client.requests.approve(
            request,
            scope="global" if scope == "global" else "workspace",
            until=_end_of(until),
            version=version,
            reason=reason,
            exception=exception,
            with_dependencies=with_dependencies,
        )
    where = "in all workspaces" if done.scope == "global" else f"in {done.workspace.name}"
    emit(done, lambda: print(f"Allowed {done.name}{done.specifier} {where}. It installs by itself."))


def deny(
    request: RequestArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; who asked reads it.", show_default=False)
    ],
) -> None:
    """Deny a request for a package (administrators)."""
    with connect() as client:
        done = client.requests.deny(request, reason)
    emit(done, lambda: print(f"Denied {done.name} in {done.workspace.name}: {done.reason}"))


def withdraw(request: RequestArgument) -> None:
    """Take back what you asked for. Others who want the same go on to."""
    with connect() as client:
        done = client.requests.withdraw(request)
    emit(done, lambda: print(f"You no longer ask for {done.name} in {done.workspace.name}."))


def install_again(request: RequestArgument) -> None:
    """Try a failed installation of an approved package once more (administrators)."""
    with connect() as client:
        done = client.requests.install_again(request)
    emit(done, lambda: print(f"{done.name} is being installed in {done.workspace.name}."))


def _end_of(until: datetime | None) -> datetime | None:
    """Return when an approval ends: with the day, where no time is named."""
    if until is None:
        return None
    return (until if until.time() != time.min else datetime.combine(until, time.max)).astimezone()


def _print_asked(asked: PackageRequest) -> None:
    print(f"Asked for {asked.name}{asked.specifier} in {asked.workspace.name}: {asked.id}")
    if len(asked.people) > 1:
        say(f"{', '.join(one.person.display_name for one in asked.people)} want it.")
    say(asked.judged.because)
    if asked.judged.needs_exception:
        say("An approval does not lift that, only an exception does.")


def _print(one: PackageRequest) -> None:
    fields, rows = describe(one)
    print_fields(fields)
    if rows:
        print()
        headers = ("PACKAGE", "VERSION!", "POLICY", "SIZE!", "UPLOADED!", "LICENCE", "BY", "VULNERABILITIES")
        print_table(headers, rows, empty="")


def _place(one: PackageRequest) -> str:
    return f"{one.workspace.owner}/{one.workspace.name}"


def _who(one: PackageRequest) -> str:
    return ", ".join(asker.person.name for asker in one.people)
