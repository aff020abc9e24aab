"""Commands for administrators: what fills the platform's disk, and release some of it."""

from typing import Annotated

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import emit, print_fields, say
from studiolo.cli.tables import print_table
from studiolo.cli.trash import confirm
from studiolo.contract.disk import DiskUsage
from studiolo.contract.sizes import describe_size, used_of


def disk() -> None:
    """Show what fills the platform's disk, and its largest workspaces.

    \b
    Examples:
      studiolo disk
      studiolo disk --json | jq .parts
    """
    with connect() as client:
        found = client.platform.disk()
    emit(found, lambda: _print(found))


def free(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHAT]...",
            help="caches, previews and logs, which are made again, unless you name some; also: packages, discarded, "
            "trash.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before what cannot be undone.")] = False,
) -> None:
    """Release space on the platform's disk, without a session and also when it is full.

    Files of people stay. `trash` erases deleted workspaces for good, `discarded` what resets put aside.

    \b
    Examples:
      studiolo free
      studiolo free caches trash --yes
    """
    for_good = [one for one in what or () if one in ("discarded", "trash")]
    if for_good and not yes:
        confirm(f"Erase for good: {', '.join(for_good)}?", what="Erasing for good")
    with connect() as client:
        found = client.platform.free(*what or ())
    rows = [(kind, describe_size(size)) for kind, size in found.freed.items()]
    emit(found, lambda: print_table(("WHAT!", "RELEASED!"), rows, empty="Nothing."))
    say(f"{describe_size(found.free)} are free now.")


def _print(found: DiskUsage) -> None:
    print_fields((("Disk", used_of(found.total - found.free, found.total)), ("Limits", found.limits)))
    print()
    parts = [(part.name, describe_size(part.size), part.free_as or "", part.words) for part in found.parts]
    print_table(("PART!", "SIZE!", "FREE AS!", "WHAT IT IS"), parts, empty="Nothing.")
    print()
    largest = [(f"{one.workspace.owner}/{one.workspace.name}", describe_size(one.size)) for one in found.largest]
    print_table(("LARGEST WORKSPACES!", "SIZE!"), largest, empty="No workspace has been measured yet.")
    if not found.measured:
        say("note: some sizes are larger: looking at everything would have taken too long.")
