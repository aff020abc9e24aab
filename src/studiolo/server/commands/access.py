"""`studiolo sign-in-link` and `studiolo reset-password`: letting people in, from the machine itself."""

import json
import sys
from typing import Annotated

import typer

from studiolo.server.commands.flags import AsJSON, DataDir, platform_settings
from studiolo.server.settings import Settings

_Name = typer.Argument(help="Name or e-mail of the person.", metavar="PERSON")


def sign_in_link(
    person: Annotated[str | None, _Name] = None, data_dir: DataDir = None, as_json: AsJSON = False
) -> None:
    """Make a one-time sign-in link and print it; without PERSON for the first administrator."""
    from studiolo.server import operator
    from studiolo.server.supervisor.records import find_running

    settings = existing(platform_settings(data_dir=data_dir))
    link = operator.sign_in_link(settings, person)
    if running := find_running(settings):
        # It may have been started with another port than is set now.
        url = link.url.replace(settings.address, running["address"], 1)
        link = link.model_copy(update={"url": url})
    if as_json:
        typer.echo(link.model_dump_json(indent=2))
        return
    typer.echo(link.url)
    typer.echo(f"For {link.person.name}; works once, until {link.expires_at:%Y-%m-%d %H:%M} UTC.", err=True)
    if link.notice:
        typer.echo(f"Note: {link.notice}", err=True)


def reset_password(
    person: Annotated[str, _Name],
    data_dir: DataDir = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the new password from the first line of stdin.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Set a person's password; all their sign-ins end."""
    from studiolo.server import operator

    settings = existing(platform_settings(data_dir=data_dir))
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif not sys.stdin.isatty():
        raise _nobody_to_ask()
    else:
        password = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    operator.set_password(settings, person, password)
    if as_json:
        typer.echo(json.dumps({"person": person}))
    else:
        typer.echo(f"The password of {person} is set; their sign-ins have ended.", err=True)


def _nobody_to_ask() -> Exception:
    from studiolo.contract.errors import InvalidInput

    return InvalidInput(
        "usage-invalid",
        "Nobody is here to type a password.",
        hint="Pipe it in with --password-stdin.",
    )


def existing(settings: Settings) -> Settings:
    """Return the settings if they name a platform that was started before. Raises NotFound (`not-running`)."""
    from studiolo.contract.errors import NotFound
    from studiolo.server.schema import check_schema

    if settings.database_url is None and not (settings.data_dir / "studiolo.db").exists():
        raise NotFound(
            "not-running",
            f"There is no platform on {settings.data_dir} yet.",
            hint="Start it with `studiolo up`, or name its folder: --data-dir or STUDIOLO_DATA_DIR.",
        )
    check_schema(settings)
    return settings
