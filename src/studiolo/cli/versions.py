"""Commands on what files were, and on deleted files."""

import sys
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.describing import unwritable
from studiolo.cli.file_places import FilePlace, place_of
from studiolo.cli.files import PlaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, harmless, say
from studiolo.cli.tables import print_table
from studiolo.cli.trash import confirm
from studiolo.contract.errors import NotFound
from studiolo.contract.sizes import describe_size
from studiolo.contract.versions import CellDifference, DeletedFile, FileDifference, LineChange, LineDifference
from studiolo.sdk import Studiolo

VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="Id of a version.", show_default=False)]
DeletedArgument = Annotated[
    str,
    typer.Argument(metavar="WORKSPACE:DELETED", help="Path or id of what was deleted.", show_default=False),
]
_MARKS = {LineChange.SAME: " ", LineChange.ADDED: "+", LineChange.REMOVED: "-", LineChange.LEFT_OUT: "…"}


def version(
    workspace: WorkspaceArgument,
    notebook: Annotated[str, typer.Argument(metavar="NOTEBOOK", help="Its path in the workspace.", show_default=False)],
) -> None:
    """List the versions of a notebook, newest first: each save keeps one. The same as `files versions`.

    \b
    Example:
      studiolo version churn notebooks/model.ipynb
    """
    _list_versions(place_of(f"{workspace}:{notebook}"))


def versions(place: PlaceArgument) -> None:
    """List what a file was, newest first; also of one that is gone.

    \b
    Example:
      studiolo files versions churn:notebooks/model.ipynb
    """
    _list_versions(place_of(place))


def _list_versions(named: FilePlace) -> None:
    with connect() as client:
        found = list(client.versions.list(named.workspace, named.path, page_size=200))
    rows = [
        (
            v.id,
            ago(v.at),
            v.by.name if v.by else "",
            v.origin.value,
            describe_size(v.size),
            "now" if v.is_current else "",
        )
        for v in found
    ]
    headers = ("ID!", "SAVED!", "BY!", "FROM!", "SIZE!", "")
    emit(found, lambda: print_table(headers, rows, empty="No version of it was kept."))


def diff(
    place: PlaceArgument,
    before: Annotated[str, typer.Option("--from", metavar="VERSION", help="Id of the earlier version.")],
    after: Annotated[str, typer.Option("--to", metavar="VERSION", help="Id of the later one, or `now`.")] = "now",
) -> None:
    """Show how a file differs between two versions: cell by cell in notebooks."""
    named = place_of(place)
    with connect() as client:
        found = client.versions.compare(named.workspace, named.path, before, after)
    emit(found, lambda: _print_difference(found))


def show(
    place: PlaceArgument,
    version: VersionArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file instead of stdout.")
    ] = None,
) -> None:
    """Write what a version holds to stdout or a file."""
    named = place_of(place)
    with connect() as client:
        if output is None:
            held = BytesIO()
            size = client.versions.download(named.workspace, named.path, version, held)
        else:
            try:
                with output.open("wb") as file:
                    size = client.versions.download(named.workspace, named.path, version, file)
            except OSError as exc:
                raise unwritable(output, exc) from exc
    if output is not None:
        emit({"file": str(output), "size": size}, lambda: say(f"Wrote {output} ({describe_size(size)})."))
        return
    text = held.getvalue().decode(errors="replace")
    emit({"id": version, "size": size, "text": text}, lambda: _write(held.getvalue()))


def restore(place: PlaceArgument, version: VersionArgument) -> None:
    """Have a file be what a version holds; what it holds now stays as a version."""
    named = place_of(place)
    with connect() as client:
        made = client.versions.restore(named.workspace, named.path, version)
    emit(made, lambda: print(f"{harmless(named.path)} is what it was in {version}. What it was until now is kept."))


def trash(workspace: WorkspaceArgument) -> None:
    """List files and folders that were deleted from a workspace and can come back."""
    with connect() as client:
        found = list(client.file_trash.list(workspace, page_size=200))
    rows = [
        (
            what.id,
            what.path,
            "folder" if what.size is None else describe_size(what.size),
            ago(what.deleted_at),
            what.by.name if what.by else "",
            ago(what.erased_after),
        )
        for what in found
    ]
    headers = ("ID!", "PATH", "SIZE!", "DELETED!", "BY!", "ERASED!")
    emit(found, lambda: print_table(headers, rows, empty="Nothing was deleted."))


def undelete(deleted: DeletedArgument) -> None:
    """Bring back what was deleted; of several from the same path, the last."""
    named = place_of(deleted)
    with connect() as client:
        back = client.file_trash.restore(named.workspace, _find(client, named).id)
    emit(back, lambda: print(f"Brought back: {harmless(back.path)}"))


def erase(
    deleted: DeletedArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Erase a deleted file or folder for good; nothing brings it back."""
    named = place_of(deleted)
    with connect() as client:
        found = _find(client, named)
        if not yes:
            confirm(f"Erase {found.path}, deleted {ago(found.deleted_at)}, for good?", what="Erasing it")
        client.file_trash.erase(named.workspace, found.id)
    emit({"id": found.id, "erased": True}, lambda: print(f"Erased: {harmless(found.path)}"))


def _write(content: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(content)


def _find(client: Studiolo, named: FilePlace) -> DeletedFile:
    for what in client.file_trash.list(named.workspace, page_size=200):
        if named.path in (what.id, what.path):
            return what
    raise NotFound(
        "deleted-file-not-found",
        f"There is no {named.path!r} in this workspace's trash.",
        hint=f"`{current().program} files trash {named.workspace}` shows what is.",
    )


def _print_difference(found: FileDifference) -> None:
    if not found.is_comparable:
        print("One of the two is neither a notebook nor text.")
        return
    if not found.cells and not any(line.change in (LineChange.ADDED, LineChange.REMOVED) for line in found.lines):
        print("The notebook's own data differ." if found.has_other_metadata else "They are the same.")
        return
    for cell in found.cells:
        print(_cell_heading(cell))
        _print_lines(cell.lines)
    _print_lines(found.lines)
    if found.is_cut:
        say("There is more than is shown here.")


def _cell_heading(cell: CellDifference) -> str:
    at = {"added": f"now {cell.after}", "removed": f"was {cell.before}"}.get(
        cell.change, f"{cell.before} → {cell.after}"
    )
    output = ""
    if cell.has_other_outputs:
        sizes = (describe_size(cell.output_bytes_before), describe_size(cell.output_bytes_after))
        output = f", output {sizes[0]} → {sizes[1]}"
    return f"@@ {harmless(cell.kind)} cell {at}: {cell.change}{output}"


def _print_lines(lines: list[LineDifference]) -> None:
    for line in lines:
        print(f"{_MARKS[line.change]} {harmless(line.text)}")
