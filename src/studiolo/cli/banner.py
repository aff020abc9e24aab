"""Commands on the banner: what administrators tell everybody."""

from typing import Annotated

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, harmless, say
from studiolo.contract.people import Banner


def show() -> None:
    """Show what everybody is told."""
    with connect() as client:
        _emit(client.banners.get())


def post(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What everybody reads on every page.")],
    warning: Annotated[bool, typer.Option("--warning", help="Make it stand out.")] = False,
    minutes: Annotated[
        int | None,
        typer.Option("--minutes", metavar="MINUTES", min=1, help="For how long; left out: until it is taken down."),
    ] = None,
) -> None:
    """Tell everybody something, in place of what was told before.

    \b
    Example:
      studiolo banner post "The machine is restarted at noon." --warning --minutes 90
    """
    with connect() as client:
        _emit(client.banners.post(text, level="warning" if warning else "info", minutes=minutes))


def clear() -> None:
    """Take down what everybody is told."""
    with connect() as client:
        client.banners.withdraw()
    emit({"banner": None}, lambda: print("Nothing is told any more."))


def _emit(banner: Banner | None) -> None:
    def text() -> None:
        if banner is None:
            say("Nothing is told to everybody.")
            return
        print(harmless(banner.text))
        by = banner.posted_by.display_name if banner.posted_by else "The operator"
        ends = f", ends {ago(banner.until)}" if banner.until else ""
        say(f"{by}, {ago(banner.posted_at)}{ends}.")

    emit({"banner": banner}, text)
