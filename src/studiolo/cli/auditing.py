"""The command that shows the record of changes."""

import sys
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from studiolo.cli.arguments import complete_workspaces
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit
from studiolo.cli.tables import print_table
from studiolo.contract import record_table

_SHOWN = 50


class Form(StrEnum):
    """Values of --export."""

    CSV = "csv"


def audit(
    workspace: Annotated[
        str | None,
        typer.Argument(
            metavar="WORKSPACE",
            help="What happened there; left out: everywhere, for administrators.",
            autocompletion=complete_workspaces,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="NUMBER", min=1, help=f"How many events, newest first; {_SHOWN}, or all exported."
        ),
    ] = None,
    export: Annotated[Form | None, typer.Option("--export", help="Write them as a table for spreadsheets.")] = None,
) -> None:
    """Show the record of changes, newest first: of a workspace, or of the whole platform.

    \b
    Examples:
      studiolo audit churn
      studiolo audit churn --export csv > churn.csv
    """
    most = limit if limit or export else _SHOWN
    with connect() as client:
        events = islice(client.audit.list(workspace, page_size=min(most or 200, 200)), most)
        if export:
            sys.stdout.write(record_table.head())
            sys.stdout.writelines(record_table.lines(events))
            return
        found = list(events)
    rows = [(ago(e.at), e.actor.name if e.actor else e.via, e.via, e.action, e.target) for e in found]
    headers = ("WHEN!", "WHO!", "VIA!", "ACTION!", "ON")
    emit(found, lambda: print_table(headers, rows, empty="Nothing was changed yet."))
