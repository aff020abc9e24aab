"""Commands on API keys."""

from typing import Annotated

import typer

from studiolo.cli.arguments import complete_workspaces
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, say, scopes_of
from studiolo.cli.tables import print_table
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.models import KeyInfo


def create(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What it is for, for example laptop.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it may do, for example sessions:read; repeat for several. All if left out.",
        ),
    ] = None,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="For kernels alone: it may stand in programs and in addresses.")
    ] = False,
    workspace: Annotated[
        str | None,
        typer.Option(
            "--workspace",
            metavar="WORKSPACE",
            help="With --gateway: for the kernels of this one workspace.",
            autocompletion=complete_workspaces,
        ),
    ] = None,
    days: Annotated[int, typer.Option("--days", metavar="DAYS", min=1, max=90, help="Days until it ends.")] = 90,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the bare key and nothing else.")] = False,
) -> None:
    """Make an API key. It is shown this once.

    \b
    Examples:
      studiolo keys create --name laptop
      studiolo keys create --name thebe --gateway --workspace churn --quiet
    """
    if workspace and not gateway:
        raise InvalidInput(
            "usage-invalid",
            "Only a gateway key is bound to a workspace.",
            hint="Add --gateway, or leave --workspace out.",
        )
    with connect() as client:
        key = client.keys.create(
            name,
            scopes=scope or None,
            expires_in_days=days,
            kind="gateway" if gateway else None,
            workspace=workspace,
        )

    def text() -> None:
        print(key.key)
        if not quiet:
            say(f"Keep it: it is not shown again. It ends {key.expires_at:%Y-%m-%d} and may: {scopes_of(key.scopes)}.")

    emit(key, text)


def list_() -> None:
    """List your API keys, without their secrets."""
    with connect() as client:
        keys = client.keys.list()
    rows = [
        (key.name, key.prefix, ago(key.last_used_at) or "never", ago(key.expires_at), key.id, scopes_of(key.scopes))
        for key in keys
    ]
    headers = ("NAME!", "BEGINS!", "USED!", "ENDS!", "ID!", "SCOPES")
    emit(keys, lambda: print_table(headers, rows, empty="No keys."))


def revoke(key: Annotated[str, typer.Argument(metavar="KEY", help="Id or name of the key.")]) -> None:
    """Revoke an API key; it stops working at once."""
    with connect() as client:
        found = _find(client.keys.list(), key)
        client.keys.revoke(found.id)
    emit({"id": found.id, "revoked": True}, lambda: print(f"Revoked {found.name} ({found.id})."))


def _find(keys: list[KeyInfo], reference: str) -> KeyInfo:
    fitting = [key for key in keys if reference in (key.id, key.name, key.prefix)]
    if not fitting:
        raise NotFound("key-not-found", f"You have no key {reference!r}.", hint="`studiolo keys list` shows yours.")
    if len(fitting) > 1:
        raise Conflict(
            "key-ambiguous",
            f"Several keys are named {reference!r}: {', '.join(key.id for key in fitting)}.",
            hint="Name one by its id.",
            candidates=[key.id for key in fitting],
        )
    return fitting[0]
