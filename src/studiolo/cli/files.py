"""Commands on files of workspaces, as one knows them from a shell. `WORKSPACE:path` names a file there."""

from itertools import islice
from typing import Annotated

import typer

from studiolo.cli.file_places import is_folder, place_of
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, harmless, say
from studiolo.cli.tables import print_table
from studiolo.cli.trash import confirm
from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.contract.files import FileEntry, FileKind, FileSort
from studiolo.contract.sizes import describe_size

PlaceArgument = Annotated[str, typer.Argument(metavar="WORKSPACE:PATH", help="A path in a workspace.")]


def ls(
    place: Annotated[str, typer.Argument(metavar="WORKSPACE[:PATH]", help="A workspace, or a folder or file in it.")],
    text: Annotated[str | None, typer.Option("--filter", metavar="TEXT", help="Only names that contain this.")] = None,
    sort: Annotated[FileSort, typer.Option("--sort", help="Order; folders come first.")] = FileSort.NAME,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="NUMBER", help="At most so many.")] = 1000,
) -> None:
    """List what is in a folder of a workspace.

    \b
    Examples:
      studiolo ls churn
      studiolo ls churn:data --sort size
      studiolo ls ana/churn:notebooks --filter train
    """
    named = place_of(place, with_path=False)
    with connect() as client:
        try:
            listing = client.files.list(
                named.workspace, named.path, filter=text, sort=sort.value, page_size=min(limit + 1, 10_000)
            )
            found = list(islice(listing, limit + 1))
        except Conflict as exc:
            if exc.code != "file-not-folder":
                raise
            found = [client.files.info(named.workspace, named.path)]
    shown = found[:limit]
    rows = [(_name(entry), _size(entry), ago(entry.modified_at)) for entry in shown]
    emit(shown, lambda: print_table(("NAME", "SIZE!", "CHANGED!"), rows, empty="Nothing is there."))
    if len(found) > limit:
        say(f"There is more; --limit {limit * 10} shows it.")


def mkdir(place: PlaceArgument) -> None:
    """Make a folder in a workspace, with those on the way."""
    named = place_of(place)
    with connect() as client:
        made = client.files.mkdir(named.workspace, named.path)
    emit(made, lambda: print(f"Made {harmless(str(named))}."))


def move(
    source: PlaceArgument,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The new path, or a folder to move it into.")],
) -> None:
    """Move or rename a file or folder within its workspace; nothing is overwritten.

    \b
    Examples:
      studiolo files mv churn:draft.ipynb churn:final.ipynb
      studiolo files mv churn:final.ipynb notebooks/
    """
    named = place_of(source)
    goal = place_of(target if ":" in target else f"{named.workspace}:{target}", with_path=False)
    if goal.workspace != named.workspace:
        raise InvalidInput(
            "usage-invalid",
            "Files are moved within one workspace.",
            hint=f"Copy it: studiolo cp {source} FILE, then studiolo cp FILE {target}",
        )
    with connect() as client:
        if target.endswith("/") or is_folder(client, goal):
            goal = goal.below(named.name)
        moved = client.files.move(named.workspace, named.path, goal.path)
    emit(moved, lambda: print(f"Moved {harmless(str(named))} to {harmless(moved.path)}."))


def remove(
    place: PlaceArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a folder is deleted.")] = False,
) -> None:
    """Put a file or folder of a workspace into its trash, from where it can come back."""
    named = place_of(place)
    with connect() as client:
        entry = client.files.info(named.workspace, named.path)
        if entry.kind is FileKind.FOLDER and not yes:
            confirm(f"Delete the folder {harmless(str(named))} with all in it?", what="Deleting a folder")
        client.files.delete(named.workspace, named.path)
    emit({"path": entry.path, "deleted": True}, lambda: print(f"Deleted {harmless(str(named))}; it is in the trash."))


def _name(entry: FileEntry) -> str:
    mark = {FileKind.FOLDER: "/", FileKind.LINK: "@", FileKind.OTHER: "!"}.get(entry.kind, "")
    return f"{entry.name}{mark}"


def _size(entry: FileEntry) -> str:
    return "" if entry.size is None else describe_size(entry.size)
