"""Search of a workspace's files."""

from typing import Annotated

import typer

from studiolo.cli.file_places import place_of
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, harmless, say
from studiolo.cli.tables import print_table
from studiolo.contract.file_search import FileHit, FileSearch


def search(
    place: Annotated[str, typer.Argument(metavar="WORKSPACE[:FOLDER]", help="A workspace, or a folder in it.")],
    text: Annotated[list[str], typer.Argument(metavar="TEXT…", help="Words; all must fit.", show_default=False)],
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, metavar="NUMBER", help="At most so many.")] = 50,
) -> None:
    """Search names, notebooks' cells and text files of a workspace. Outputs of cells are not searched.

    Signs are borders of words: `read_csv` and `csv` both find `pd.read_csv(`. The last word may be the beginning of
    one. Words in quotation marks stand side by side.

    \b
    Examples:
      studiolo search churn read_csv
      studiolo search churn:notebooks '"learning rate"' decay
    """
    named = place_of(place, with_path=False)
    with connect() as client:
        found = client.files.search(named.workspace, " ".join(text), folder=named.path, limit=limit)
    rows = [(harmless(hit.path), _where(hit), harmless(hit.text) if hit.kind != "name" else "") for hit in found.items]
    emit(found, lambda: print_table(("FILE", "WHERE!", "TEXT"), rows, empty="Nothing has all of these words."))
    say(_how_fresh(found))


def _where(hit: FileHit) -> str:
    if hit.kind == "name":
        return "name"
    return f"cell {hit.cell}:{hit.line}" if hit.cell else f"line {hit.line}"


def _how_fresh(found: FileSearch) -> str:
    said = [f"Files as of {ago(found.checked_at)}." if found.checked_at else "The files are read for the first time."]
    if found.waiting:
        said.append(f"{found.waiting} still to be read: search again in a moment.")
    if found.is_cut:
        said.append("There are more files than are searched.")
    if found.more:
        said.append("There are more results: say more words, or a folder.")
    return " ".join(said)
