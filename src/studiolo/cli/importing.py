"""`import`: a workspace from an archive."""

from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, name_of, say
from studiolo.contract.errors import InvalidInput
from studiolo.contract.sizes import describe_size

_FEW = 20


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive of `studiolo export`, or any zip of files.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the workspace instead of the archive's own.")
    ] = None,
) -> None:
    """Make a workspace from an archive; you own it.

    \b
    Examples:
      studiolo import churn.zip
      studiolo import notes.zip --name notes
    """
    try:
        with connect() as client:
            made = client.workspaces.import_archive(file, name=name)
    except OSError as exc:
        raise InvalidInput("usage-invalid", f"{file} cannot be read: {exc.strerror}.", hint="Name a zip.") from exc

    def text() -> None:
        print(f"Imported {name_of(made.workspace)}: {made.files} files, {describe_size(made.size_bytes)}.")
        if made.members:
            say(f"Have access again: {', '.join(made.members)}")
        if made.unknown_members:
            say(f"note: nobody here has these addresses: {', '.join(made.unknown_members)}")
        if made.build is not None:
            say(f"Its environment is made again from its lock: build {made.build} (studiolo environment history).")
        elif made.packages:
            say(f"note: it had these installed: {_few(made.packages)}")
            if len(made.packages) <= _FEW:
                say(f"Install them: {current().program} install {name_of(made.workspace)} {' '.join(made.packages)}")
        for left in made.left_out[:20]:
            say(f"note: left out {left}")
        say(f"Open it: {current().program} open {name_of(made.workspace)}")

    emit(made, text)


def _few(packages: list[str]) -> str:
    return " ".join(packages[:_FEW]) + (" …" if len(packages) > _FEW else "")
