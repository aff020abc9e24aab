"""Sign in, sign out, who am I."""

import platform
import sys
from typing import Annotated

import typer

from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, print_fields, say, scopes_of
from studiolo.contract.errors import InvalidInput, NotSignedIn, StudioloError
from studiolo.sdk import Studiolo, find_credentials
from studiolo.sdk.address import normal_address
from studiolo.sdk.credentials import forget, saved_addresses, store
from studiolo.sdk.transport import refuse_to_send_openly


def login(
    address: Annotated[str, typer.Argument(metavar="URL", help="Address of the platform.", show_default=False)],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Your name or e-mail; asked for if left out.")
    ] = None,
    key_stdin: Annotated[bool, typer.Option("--key-stdin", help="Read an API key from standard input.")] = False,
) -> None:
    """Sign in to a platform and save the key for it. Asks for name and password; nothing is shown."""
    url = normal_address(address)
    if not current().insecure:
        refuse_to_send_openly(url)
    key = sys.stdin.readline().strip() if key_stdin else _key_by_password(url, name)
    if not key:
        raise InvalidInput("usage-invalid", "Standard input held no key.", hint="Pipe the key in, alone on a line.")
    with Studiolo(url, key, insecure=current().insecure) as client:
        me = client.me.get()
    store(url, key, me.name)
    emit({"url": url, "person": me}, lambda: print(f"Signed in to {url} as {me.name}."))


def logout() -> None:
    """Sign out: revoke the saved key and forget it. Keys from the environment are left alone."""
    credentials = find_credentials(current().url)
    if credentials.url not in saved_addresses():
        raise NotSignedIn(
            "not-configured",
            f"No sign-in is saved for {credentials.url} ({credentials.source}).",
            hint="There is nothing to sign out from.",
        )
    revoked = _revoke(credentials.url)
    forget(credentials.url)
    emit({"url": credentials.url, "revoked": revoked}, lambda: print(f"Signed out of {credentials.url}."))
    if not revoked:
        say("The platform could not be asked to revoke the key; it is forgotten here.")


def whoami() -> None:
    """Show who is signed in, and where."""
    source = find_credentials(current().url).source
    with connect() as client:
        me = client.me.get()
    others = [address for address in saved_addresses() if address != client.url]

    def text() -> None:
        print_fields(
            (
                ("Name", me.name),
                ("Person", me.display_name),
                ("E-mail", me.email or ""),
                ("Role", "administrator" if me.is_admin else "member"),
                ("Platform", f"{client.url} (from {source})"),
                ("Also saved", ", ".join(others)),
                ("Scopes", scopes_of(me.scopes)),
            )
        )

    emit({**me.model_dump(mode="json"), "url": client.url, "source": source}, text)


def _key_by_password(url: str, name: str | None) -> str:
    if not sys.stdin.isatty():
        raise InvalidInput(
            "usage-invalid",
            "Nobody is here to type a password.",
            hint="Make a key on the platform's page and pipe it in with --key-stdin.",
        )
    # The prompts go to stderr, since stdout is for data.
    who = name or typer.prompt(f"Name or e-mail at {url}", err=True)
    password = typer.prompt("Password", hide_input=True, err=True)
    with Studiolo(url, insecure=current().insecure) as client:
        return client.platform.sign_in(who, password, key_name=f"command line on {platform.node()}"[:100]).key


def _revoke(url: str) -> bool:
    """Revoke the key that is saved for an address; False if the platform could not be asked."""
    saved = find_credentials(url).key or ""
    try:
        with Studiolo(url, saved, insecure=current().insecure) as client:
            for key in client.keys.list():
                if saved.startswith(key.prefix):
                    client.keys.revoke(key.id)
        return True
    except NotSignedIn:
        # It has ended already.
        return True
    except StudioloError:
        return False
