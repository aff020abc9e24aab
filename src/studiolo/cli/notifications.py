"""Commands on what one was told."""

from itertools import islice
from typing import Annotated

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit
from studiolo.cli.tables import print_table


def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also what you have seen before.")] = False,
    read: Annotated[bool, typer.Option("--read", help="Mark what is shown as seen.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="NUMBER", min=1, help="How many, newest first.")] = 50,
) -> None:
    """Show what you were told and have not seen, newest first."""
    with connect() as client:
        listed = client.notifications.list(unread=not everything, page_size=min(limit, 200))
        found = list(islice(listed, limit))
        if read and found:
            client.notifications.read([one.id for one in found])
        at = client.url
    rows = [(ago(one.at), "" if one.read_at else "new", one.text, f"{at}{one.link}") for one in found]
    emit(found, lambda: print_table(("WHEN!", "", "WHAT", "WHERE"), rows, empty="Nothing new."))
