import os
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from studiolo.gateway.filling.cells import Cells
from studiolo.gateway.filling.notebooks import Saved
from studiolo.gateway.filling.saving import NotebookSaver
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.messages.wire import build


class Absence:
    """A notebook of cells a and b, the journal of its kernel, and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.file = folder / "n.ipynb"
        document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", id=cell) for cell in "ab"])
        nbformat.write(document, self.file)
        self.journal = Journal.open(folder / "journal")
        self.cells = Cells(self.journal)
        self.time = 1_000.0
        self.is_busy = True
        self.saver = self.new_saver()

    def new_saver(self) -> NotebookSaver:
        return NotebookSaver(self.journal, every_seconds=30, grace_seconds=10, now=lambda: self.time)

    def start(self, cell: str) -> None:
        self.journal.note_request(cell, "execute_request", "s", cell, code="1")

    def print(self, cell: str, text: str) -> None:
        self.journal.append("iopub", build("stream", {"name": "stdout", "text": text}, session="k"), parent=cell)

    def is_due_after(self, seconds: float) -> bool:
        self.time += seconds
        return self.saver.is_due(is_busy=self.is_busy)

    async def save(self) -> Saved | None:
        outcome = await self.saver.save(self.cells, self.root, "n.ipynb")
        return outcome.saved if outcome else None

    def texts(self) -> list[str]:
        return ["".join(output.text for output in cell.outputs) for cell in nbformat.read(self.file, 4).cells]


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Absence]:
    absence = Absence(tmp_path)
    yield absence
    absence.journal.close()


@pytest.mark.parametrize("saved_seconds", [-5, 5])
async def test_what_nobody_saw_or_saved_is_in_the_notebook(away: Absence, saved_seconds: int):
    away.saver.clients_changed(1)
    away.start("a")
    away.print("a", "seen")
    os.utime(away.file, (0, time.time() + saved_seconds))
    away.journal.note_reply("a")
    away.start("b")
    away.print("b", "seen, ")
    away.saver.clients_changed(0)
    away.print("b", "not seen")
    assert away.is_due_after(11)
    assert await away.save() is Saved.WRITTEN
    # Who saved it after the first had run may have cleared that one.
    assert away.texts() == ["" if saved_seconds > 0 else "seen", "seen, not seen"]


async def test_what_was_seen_but_not_saved_is_written_once_after_the_last_client_left(away: Absence):
    away.saver.clients_changed(1)
    away.start("a")
    away.print("a", "seen")
    away.saver.clients_changed(0)
    away.is_busy = False
    assert away.is_due_after(11)
    os.utime(away.file, (0, 0))
    assert await away.save() is Saved.WRITTEN
    assert not away.is_due_after(1_000)


async def test_while_a_cell_runs_it_is_written_now_and_then_and_at_once_when_it_ends(away: Absence):
    away.start("a")
    away.print("a", "1")
    assert not away.is_due_after(9)
    assert away.is_due_after(2)
    await away.save()
    assert not away.is_due_after(100)
    away.print("a", "2")
    assert away.is_due_after(0)
    await away.save()
    away.print("a", "3")
    assert not away.is_due_after(59)
    away.is_busy = False
    assert away.is_due_after(0)
    await away.save()
    away.print("a", "of a thread")
    assert not away.is_due_after(239)
    assert away.is_due_after(2)
    await away.save()
    assert away.texts() == ["123of a thread", ""]


async def test_nothing_is_written_while_a_client_is_there_or_just_gone(away: Absence):
    away.start("a")
    away.saver.clients_changed(1)
    away.print("a", "1")
    assert not away.is_due_after(1_000)
    assert await away.save() is None
    away.saver.clients_changed(0)
    away.print("a", "2")
    assert not away.is_due_after(9)
    away.saver.clients_changed(2)
    assert not away.is_due_after(9)
    away.saver.clients_changed(0)
    assert not away.is_due_after(9)
    assert away.is_due_after(2)


async def test_a_restarted_host_goes_on_where_the_last_client_left(away: Absence):
    away.start("a")
    away.saver.clients_changed(1)
    away.saver.clients_changed(0)
    away.print("a", "1")
    away.journal.flush()
    away.saver = away.new_saver()
    assert away.is_due_after(11)
    assert await away.save() is Saved.WRITTEN
    assert away.texts() == ["1", ""]


async def test_a_host_that_was_killed_with_clients_takes_them_for_gone_then(away: Absence):
    away.start("a")
    away.saver.clients_changed(1)
    away.print("a", "1")
    away.journal.flush()
    away.saver = away.new_saver()
    assert not away.is_due_after(1_000)
    away.print("a", "2")
    assert away.is_due_after(0)


async def test_a_conflict_is_tried_again(away: Absence, monkeypatch: pytest.MonkeyPatch):
    away.start("a")
    away.print("a", "1")
    away.time += 11
    text = away.file.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: away.file.write_bytes(text + b"\n"))
    assert await away.save() is Saved.CONFLICT
    monkeypatch.undo()
    assert not away.is_due_after(29)
    assert away.is_due_after(2)
    assert await away.save() is Saved.WRITTEN
    away.file.unlink()
    away.print("a", "2")
    assert await away.save() is Saved.REFUSED
    assert not away.is_due_after(1_000)


async def test_a_client_that_vanished_gets_time_to_come_back_to_an_unchanged_file(away: Absence):
    away.start("a")
    away.saver.clients_changed(1)
    away.print("a", "1")
    away.saver.clients_changed(0, is_lost=True)
    assert not away.is_due_after(899)
    assert away.is_due_after(2)
