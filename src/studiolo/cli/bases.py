"""Commands on bases: what environments of workspaces begin from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit
from studiolo.cli.places import read_text
from studiolo.cli.tables import print_table
from studiolo.cli.trash import confirm
from studiolo.contract.environments import Base, PackageFile

BaseArgument = Annotated[str, typer.Argument(metavar="BASE", help="Its name.", show_default=False)]


def list_() -> None:
    """List the bases that environments begin from; `create --base NAME` takes one."""
    with connect() as client:
        found = client.bases.list()
    _print(found)


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name under which workspaces take it.")],
    file: Annotated[
        Path, typer.Option("--file", "-r", metavar="FILE", help="requirements.txt, pyproject.toml or environment.yml.")
    ],
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
    python: Annotated[str, typer.Option("--python", metavar="VERSION", help="Version of Python.")] = "",
) -> None:
    """Add a base (administrators): its file is resolved and locked now, and built at its first use.

    \b
    Example:
      studiolo bases add geo -r geo.txt --description "Maps and rasters"
    """
    listed = PackageFile(name=file.name, text=read_text(file))
    with connect() as client:
        made = client.bases.add(name, listed, description=description, python=python)
    emit(made, lambda: print(f"Added {made.name}: {made.packages} packages."))


def default(base: BaseArgument) -> None:
    """Have new workspaces begin from a base unless they name another (administrators)."""
    with connect() as client:
        found = client.bases.choose(base)
    _print(found)


def remove(base: BaseArgument, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Take a base off the catalogue (administrators), unless workspaces begin from it."""
    if not yes:
        confirm(f"Take the base {base} off the catalogue?", what=f"Removing {base}")
    with connect() as client:
        client.bases.remove(base)
    emit({"base": base, "removed": True}, lambda: print(f"Removed {base}."))


def _print(found: Sequence[Base]) -> None:
    rows = [
        (
            f"{one.name}{' *' if one.is_default else ''}",
            one.python or "the platform's",
            str(one.packages),
            ago(one.made_at),
            one.description.replace("\n", " "),
        )
        for one in found
    ]
    emit(found, lambda: print_table(("NAME!", "PYTHON", "PACKAGES", "ADDED", "DESCRIPTION"), rows, empty="No bases."))
