"""Sign in, sign out, who am I."""

import platform
import sys
import webbrowser
from typing import Annotated

import typer

from studiolo.cli.invocation import connect, current
from studiolo.cli.opening import has_browser
from studiolo.cli.output import emit, print_fields, say, scopes_of
from studiolo.contract.details import DeviceCode
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
    password: Annotated[bool, typer.Option("--password", help="Ask for name and password instead of a code.")] = False,
    key_stdin: Annotated[bool, typer.Option("--key-stdin", help="Read an API key from standard input.")] = False,
) -> None:
    """Sign in to a platform and save the key for it.

    Shows a short code and an address: open that in any browser, on any machine, where you are signed in or can
    sign in, and approve the code there. Programs need no sign-in: STUDIOLO_URL and STUDIOLO_KEY serve them.

    \b
    Examples:
      studiolo login https://notebooks.example.com
      studiolo login https://notebooks.example.com --password --name ana
      studiolo login https://notebooks.example.com --key-stdin < key
    """
    url = normal_address(address)
    if not current().insecure:
        refuse_to_send_openly(url)
    if key_stdin:
        key = _key_from_input()
    elif password or name:
        key = _key_by_password(url, name)
    else:
        key = _key_by_code(url)
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


def _key_from_input() -> str:
    if not (key := sys.stdin.readline().strip()):
        raise InvalidInput("usage-invalid", "Standard input held no key.", hint="Pipe the key in, alone on a line.")
    return key


def _key_by_code(url: str) -> str:
    """Wait until somebody has approved a code; Ctrl-C gives up."""

    def show(begun: DeviceCode) -> None:
        say(f"Your code: {begun.user_code}\n\nApprove it within {begun.expires_in // 60} minutes, in any browser:")
        say(f"  {begun.verification_uri_complete}\n")
        if sys.stderr.isatty() and has_browser():
            webbrowser.open(begun.verification_uri_complete)
        say("Waiting …")

    with Studiolo(url, insecure=current().insecure) as client:
        return client.platform.sign_in_device(show, key_name=_key_name()).key


def _key_name() -> str:
    return f"command line on {platform.node()}"[:100]


def _key_by_password(url: str, name: str | None) -> str:
    if not sys.stdin.isatty():
        raise InvalidInput(
            "usage-invalid",
            "Nobody is here to type a password.",
            hint="Leave --password and --name out to sign in by a code, or pipe a key in with --key-stdin.",
        )
    # The prompts go to stderr, since stdout is for data.
    who = name or typer.prompt(f"Name or e-mail at {url}", err=True)
    password = typer.prompt("Password", hide_input=True, err=True)
    with Studiolo(url, insecure=current().insecure) as client:
        return client.platform.sign_in(who, password, key_name=_key_name()).key


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
