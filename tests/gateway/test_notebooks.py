import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import nbformat
import pytest

from studiolo.gateway.filling import notebooks
from studiolo.gateway.filling.cells import CellRun
from studiolo.gateway.filling.notebooks import Saved, UnusableNotebookError, merge, write
from studiolo.gateway.journals.records import digest_code


def notebook(*cells: Any, minor: int = 5, **more: Any) -> bytes:
    document = nbformat.v4.new_notebook(
        cells=list(cells), metadata={"kernelspec": {"name": "python3", "display_name": "Python"}}, **more
    )
    document["nbformat_minor"] = minor
    if minor < 5:
        for cell in document["cells"]:
            cell.pop("id", None)
    return (nbformat.v4.writes(document) + "\n").encode()


def code(cell: str, source: str, **more: Any) -> Any:
    return nbformat.v4.new_code_cell(source, id=cell, **more)


def run(source: str, *outputs: dict[str, Any], count: int | None = 7) -> CellRun:
    at = 1_790_000_000.5
    digest = digest_code(source)
    return CellRun("m", "s", digest, at, 1, 2, False, count, list(outputs), changed_at=at)


def stream(text: str) -> dict[str, Any]:
    return {"name": "stdout", "output_type": "stream", "text": text}


DISPLAY = {
    "output_type": "display_data",
    "data": {"text/plain": "a\nb", "image/png": "iVBO\nRw0K", "application/json": {"z": 1, "a": [1.5]}},
    "metadata": {},
}


def test_the_file_is_what_jupyter_would_have_written():
    before = notebook(code("a", "print(1)\nprint('é')"), nbformat.v4.new_markdown_cell("# é", id="m"))
    expected = nbformat.reads(before, as_version=4)
    expected.cells[0].outputs = [nbformat.from_dict(stream("1\né\n")), nbformat.from_dict(DISPLAY)]
    expected.cells[0].execution_count = 7
    after = merge(before, {"a": run("print(1)\nprint('é')", stream("1\né\n"), DISPLAY)})
    assert after == (nbformat.v4.writes(expected) + "\n").encode()
    nbformat.validate(nbformat.reads(after, as_version=4))


@pytest.mark.req("S1-06")
def test_the_cells_metadata_says_where_and_when_it_ran():
    before = notebook(code("a", "1", metadata={"tags": ["t"], "a": 1}))
    after = merge(
        before, {"a": run("1", stream("1"))}, lambda at: {"environment": {"hash": "sha256:e"}, "resources": {"cpu": 2}}
    )
    assert after is not None
    metadata = json.loads(after)["cells"][0]["metadata"]
    assert list(metadata) == ["a", "studiolo", "tags"]
    assert metadata["studiolo"] == {
        "environment": {"hash": "sha256:e"},
        "resources": {"cpu": 2},
        "at": "2026-09-21T14:13:20.500Z",
    }


def test_a_cell_whose_source_was_changed_or_that_is_gone_or_no_code_is_left_alone():
    old = nbformat.v4.new_output("stream", text="old")
    before = notebook(code("a", "changed", outputs=[old]), nbformat.v4.new_raw_cell("1", id="raw"))
    runs = {"a": run("1", stream("new")), "gone": run("1", stream("new")), "raw": run("1", stream("new"))}
    assert merge(before, runs) is None


def test_cells_of_the_same_id_are_nobodys():
    twice = notebook(code("a", "1"), code("b", "1")).replace(b'"id": "b"', b'"id": "a"')
    assert merge(twice, {"a": run("1", stream("new"))}) is None


def test_what_is_there_already_is_not_written_again():
    runs = {"a": run("1", stream("one\ntwo"), DISPLAY)}
    after = merge(notebook(code("a", "1")), runs, lambda at: {"environment": None})
    assert after is not None
    assert merge(after, runs, lambda at: {"environment": "other"}) is None


@pytest.mark.parametrize(
    ("indent", "separators", "newline", "end"),
    [
        (1, (",", ": "), "\n", "\n"),
        (4, (",", ": "), "\n", ""),
        ("\t", (",", ": "), "\n", "\n\n"),
        (1, (",", ": "), "\r\n", "\r\n"),
        (None, (", ", ": "), "", ""),
        (None, (",", ":"), "", "\n"),
    ],
)
def test_layout_and_order_of_the_file_are_kept(
    indent: int | str | None, separators: tuple[str, str], newline: str, end: str
):
    def dump(document: Any) -> str:
        text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=False)
        return text.replace("\n", newline) + end

    ran = {"source": "1", "id": "a", "outputs": [], "execution_count": None, "metadata": {}, "cell_type": "code"}
    text = {"source": ["ü\n", "2"], "id": "b", "metadata": {"z": 1, "a": 1}, "cell_type": "markdown"}
    document = {"nbformat_minor": 5, "nbformat": 4, "x": {"z": 1, "a": 2.5}, "cells": [ran, text], "metadata": {}}
    after = merge(dump(document).encode(), {"a": run("1", stream("x"))})
    ran |= {"outputs": [{"name": "stdout", "output_type": "stream", "text": ["x"]}], "execution_count": 7}
    assert after is not None
    assert after.decode() == dump(document)


def test_half_a_surrogate_pair_stays_an_escape():
    after = merge(notebook(code("a", "1")), {"a": run("1", stream("\ud83d"))})
    assert after is not None
    assert json.loads(after)["cells"][0]["outputs"][0]["text"] == ["\ud83d"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "no notebook"),
        (b"[]", "no notebook"),
        (b"{}", "no notebook"),
        (b'{"cells": 4}', "no notebook"),
        (b'{"cells": [4]}', "no notebook"),
        (b"[" * 100_000, "no notebook"),
        (b'{"cells": [], "nbformat": 3}', "older"),
        (notebook(nbformat.v4.new_code_cell("1"), minor=4), "older"),
    ],
    ids=range(8),
)
def test_what_is_no_notebook_with_cell_ids_is_refused(text: bytes, reason: str):
    with pytest.raises(UnusableNotebookError, match=reason):
        merge(text, {})


RUNS = {"a": run("1", stream("new"))}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_notebook_is_replaced_as_a_whole_with_its_mode_and_owner(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "n.ipynb"
    file.write_bytes(notebook(code("a", "1")))
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 12_345, 12_346)
    before = file.stat()
    assert write(tmp_path, "sub/n.ipynb", RUNS).saved is Saved.WRITTEN
    after = file.stat()
    assert after.st_ino != before.st_ino
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid) == (0o640, before.st_uid, before.st_gid)
    assert list(contents(tmp_path / "sub")) == ["n.ipynb"]
    assert b"new" in file.read_bytes()
    assert write(tmp_path, "sub/n.ipynb", RUNS).saved is Saved.UNCHANGED


def test_what_somebody_saw_is_written_only_if_the_file_was_not_saved_since(tmp_path: Path):
    file = tmp_path / "n.ipynb"
    file.write_bytes(notebook(code("a", "1")))
    seen = {"a": run("1", stream("seen"))}
    os.utime(file, (0, seen["a"].changed_at + 1))
    assert write(tmp_path, "n.ipynb", seen, after=2).saved is Saved.UNCHANGED
    os.utime(file, (0, seen["a"].changed_at - 1))
    assert write(tmp_path, "n.ipynb", seen, after=2).saved is Saved.WRITTEN


@pytest.mark.parametrize("path", ["", "/", "/etc/passwd", "..", "../n.ipynb", "in/../../n.ipynb", "a\0b", "."])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str):
    (tmp_path / "n.ipynb").write_bytes(notebook(code("a", "1")))
    (tmp_path / "root").mkdir()
    assert write(tmp_path / "root", path, RUNS).saved is Saved.REFUSED
    assert b"new" not in (tmp_path / "n.ipynb").read_bytes()


@pytest.mark.parametrize(
    "path", ["link.ipynb", "folder/n.ipynb", "deep/folder/n.ipynb", "pipe", "missing/n.ipynb", "big"]
)
def test_links_and_what_is_no_plain_file_are_refused(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch):
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (root / "deep").mkdir(parents=True)
    (outside / "n.ipynb").write_bytes(notebook(code("a", "1")))
    (root / "link.ipynb").symlink_to(outside / "n.ipynb")
    (root / "folder").symlink_to(outside)
    (root / "deep" / "folder").symlink_to("../../outside")
    os.mkfifo(root / "pipe")
    (root / "big").write_bytes(b" " * 2_000)
    monkeypatch.setattr(notebooks, "MOST_BYTES", 1_000)
    outcome = write(root, path, RUNS)
    assert outcome.saved is Saved.REFUSED
    assert outcome.reason
    assert b"new" not in (outside / "n.ipynb").read_bytes()


def test_old_formats_are_refused_with_the_reason(tmp_path: Path):
    (tmp_path / "n.ipynb").write_bytes(notebook(nbformat.v4.new_code_cell("1"), minor=4))
    outcome = write(tmp_path, "n.ipynb", RUNS)
    assert (outcome.saved, "4.5" in outcome.reason) == (Saved.REFUSED, True)


@pytest.mark.parametrize("change", ["write", "remove", "replace"])
def test_a_save_at_the_same_time_wins_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
):
    file = tmp_path / "n.ipynb"
    file.write_bytes(notebook(code("a", "1")))
    theirs = notebook(code("a", "1"), code("b", "2"))
    real = os.fsync

    def save_meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        real(descriptor)
        if change == "write":
            file.write_bytes(theirs)
        else:
            file.unlink()
        if change == "replace":
            (tmp_path / "x").write_bytes(theirs)
            (tmp_path / "x").rename(file)

    monkeypatch.setattr(os, "fsync", save_meanwhile)
    assert write(tmp_path, "n.ipynb", RUNS).saved is Saved.CONFLICT
    assert contents(tmp_path) == ({} if change == "remove" else {"n.ipynb": theirs})


def test_a_reader_sees_the_old_or_the_new_file(tmp_path: Path):
    file = tmp_path / "n.ipynb"
    file.write_bytes(notebook(code("a", "1")))
    stop, broken = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                json.loads(file.read_bytes())
            except (OSError, ValueError) as error:
                broken.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        assert write(tmp_path, "n.ipynb", {"a": run("1", stream("x" * number * 1_000))}).saved is Saved.WRITTEN
    stop.set()
    reader.join()
    assert broken == []
