"""Search of names and cells: what is found, how it is shown, and how fresh it is."""

import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nbformat
import pytest

from studiolo.contract.file_search import FileHit, FileSearch
from studiolo.files.root import Root
from studiolo.files.search.finding import find
from studiolo.files.search.indexing import bring_up_to_date
from studiolo.files.search.searches import Searches
from studiolo.files.workers.pool import WorkerPool


def notebook(*sources: str) -> str:
    output = nbformat.v4.new_output("stream", text="only an output")
    cells = [nbformat.v4.new_code_cell(source, outputs=[output]) for source in sources]
    text: str = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Titel"), *cells]))
    return text


class Workspace:
    """A folder and its index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "w"
        self.folder.mkdir()
        self.index = folder / "w.sqlite"

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def scan(self, **options: int) -> dict[str, object]:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            return bring_up_to_date(handle, index=str(self.index), **options)
        finally:
            os.close(handle)

    def find(self, text: str, **options: object) -> FileSearch:
        self.scan()
        return find(self.index, text, **options)  # type: ignore[arg-type]

    def hits(self, text: str) -> list[FileHit]:
        return self.find(text).items


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.mark.parametrize("text", ["read_csv", "READ_CSV", "csv", "pd.read_csv", '"pd.read_csv("', "read_c", "pd csv"])
def test_code_is_found_by_what_people_type(text: str, workspace: Workspace) -> None:
    workspace.write("deep/a b.ipynb", notebook("import os", "import pandas as pd\n  df = pd.read_csv('x')"))
    workspace.write("other.ipynb", notebook("x = 1"))
    (hit,) = workspace.hits(text)
    assert (hit.path, hit.kind, hit.cell, hit.line) == ("deep/a b.ipynb", "code", 3, 2)
    assert hit.cell_id
    assert hit.text == "df = pd.read_csv('x')"
    assert all(hit.text[begin:end].lower().strip("(") in text.lower() or "read_csv" for begin, end in hit.marks)


def test_the_marks_are_where_the_words_are(workspace: Workspace) -> None:
    workspace.write("a.ipynb", notebook("x = 'y' * 400\n" + "z" * 10 + " " + "q " * 200 + "needle and more " * 20))
    (hit,) = workspace.hits("needle")
    assert hit.marks
    assert {hit.text[begin:end] for begin, end in hit.marks} == {"needle"}
    assert len(hit.text) <= 160
    assert hit.text.startswith("…")


def test_outputs_are_not_searched_and_names_are(workspace: Workspace) -> None:
    workspace.write("sales report.ipynb", notebook("x = 1"))
    assert workspace.hits("output") == []
    (hit,) = workspace.hits("REPORT sal")
    assert hit.kind == "name"
    assert [hit.text[begin:end] for begin, end in hit.marks] == ["sal", "report"]


@pytest.mark.parametrize("text", ["数据", "==", "Übung", "ubung"])
def test_other_scripts_and_signs_are_found(text: str, workspace: Workspace) -> None:
    workspace.write("a.ipynb", notebook("if 'x数据分析' == 'Übung': pass"))
    (hit,) = workspace.hits(text)
    assert hit.cell == 2
    assert hit.marks


def test_text_files_are_found_with_their_line(workspace: Workspace) -> None:
    workspace.write("a.py", "\n" * 99 + "def needle(): ...\n")
    (hit,) = workspace.hits("needle")
    assert (hit.kind, hit.line, hit.cell) == ("text", 100, None)


def test_what_changed_is_found_anew_and_what_is_gone_is_not(workspace: Workspace) -> None:
    file = workspace.write("a.ipynb", notebook("alpha"))
    workspace.write("b.ipynb", notebook("beta"))
    assert workspace.scan()["read"] == 2
    assert workspace.scan()["read"] == 0
    file.write_text(notebook("gamma_"))
    assert workspace.scan()["read"] == 1
    assert workspace.hits("alpha") == []
    assert len(workspace.hits("gamma_")) == 1
    file.unlink()
    assert workspace.hits("gamma_") == []
    assert workspace.hits("a.ipynb") == []


def test_a_search_in_a_folder_finds_only_there(workspace: Workspace) -> None:
    workspace.write("a_b/x.py", "needle")
    workspace.write("axb/x.py", "needle")
    assert [hit.path for hit in workspace.find("needle", within="a_b/").items] == ["a_b/x.py"]


def test_what_is_ours_hidden_or_behind_a_link_is_not_searched(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("needle")
    (workspace.folder / "link.py").symlink_to(tmp_path / "secret.py")
    (workspace.folder / "there").symlink_to(tmp_path)
    for path in (".studiolo/history/a.py", ".git/a.py", "node_modules/a.py", ".ipynb_checkpoints/a.ipynb"):
        workspace.write(path, "needle")
    assert workspace.hits("needle") == []


@pytest.mark.parametrize(
    "text", ['"', "'", "a OR b*", "NEAR(", "%", "\\", "\0", '" OR rowid > 0 --', "^*", "-x", "x:y"]
)
def test_what_is_typed_is_never_part_of_a_query(text: str, workspace: Workspace) -> None:
    workspace.write("a.ipynb", notebook("nothing of it"))
    assert workspace.hits(text) == []


def test_broken_notebooks_and_odd_names_do_not_stop_the_index(workspace: Workspace) -> None:
    for number, content in enumerate(("{", "[]", '{"cells": 3}', '{"cells": [3]}', "[" * 90_000)):
        workspace.write(f"{number}.ipynb", content)
    workspace.write("half.ipynb", '{"cells": [{"source": "needle \\ud800"}]}')
    (Path(os.fsdecode(bytes(workspace.folder) + b"/\xff.py"))).write_text("needle")
    assert len(workspace.hits("needle")) == 2


def test_a_scan_of_too_many_files_says_that_it_is_cut(workspace: Workspace) -> None:
    for number in range(5):
        workspace.write(f"{number}.py", "needle")
    workspace.scan(max_files=3)
    found = find(workspace.index, "needle", limit=2)
    assert found.is_cut
    assert found.more
    assert len(found.items) == 2
    assert found.checked_at


def test_a_damaged_index_is_made_anew(workspace: Workspace) -> None:
    workspace.write("a.py", "needle")
    workspace.index.write_bytes(b"no database at all" * 1000)
    assert len(workspace.hits("needle")) == 1


@pytest.fixture
async def searches(tmp_path: Path) -> AsyncIterator[Searches]:
    pool = WorkerPool()
    made = Searches(tmp_path / "indexes", pool)
    yield made
    await made.close()
    await pool.close()


def test_an_index_that_nobody_asked_for_a_month_is_removed(tmp_path: Path) -> None:
    for name, age in (("w-old.sqlite", 31), ("w-new.sqlite", 1)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, time.time() - age * 86400))
    Searches(tmp_path, WorkerPool())
    assert [file.name for file in tmp_path.iterdir()] == ["w-new.sqlite"]


async def test_an_index_that_was_released_is_made_anew(
    workspace: Workspace, searches: Searches, tmp_path: Path
) -> None:
    workspace.write("a.ipynb", notebook("alpha"))
    with Root(workspace.folder) as root:
        await searches.search("w-1", root, "alpha", wait=60)
        shutil.rmtree(tmp_path / "indexes")
        assert (await searches.search("w-1", root, "alpha", wait=60)).items


async def test_a_search_at_the_host_looks_at_the_files_first(workspace: Workspace, searches: Searches) -> None:
    file = workspace.write("a.ipynb", notebook("alpha"))
    with Root(workspace.folder) as root:
        first = await searches.search("w-1", root, "alpha", wait=60)
        assert [hit.path for hit in first.items] == ["a.ipynb"]
        assert first.checked_at
        assert not first.waiting
        file.unlink()
        # Two searches in a moment look once; what a search saw is a moment old at most.
        assert (await searches.search("w-1", root, "alpha", wait=60)).checked_at == first.checked_at
