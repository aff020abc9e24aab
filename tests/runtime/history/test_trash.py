"""The trash of a workspace: nothing is overwritten, nothing leads elsewhere, and what is erased is gone."""

import json
import os
import time
from pathlib import Path

import pytest

from studiolo.runtime.acting import LOWEST, hand_over, is_possible
from studiolo.runtime.history.trash import Trash


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@pytest.fixture
def trash(tmp_path: Path) -> Trash:
    return Trash(tmp_path)


def test_a_file_goes_and_comes_back_as_it_was(trash: Trash, tmp_path: Path) -> None:
    file = tmp_path / "a" / "täst 1.txt"
    file.parent.mkdir()
    file.write_text("hello")
    file.chmod(0o640)
    before = file.stat()
    what = trash.discard("a/täst 1.txt", by="p-1")
    assert not file.exists()
    assert trash.list_() == [what]
    assert (what.path, what.by, what.size) == ("a/täst 1.txt", "p-1", 5)
    file.parent.rmdir()
    assert trash.restore(what.id) == "a/täst 1.txt"
    assert file.read_text() == "hello"
    assert file.parent.stat().st_mode & 0o055 == 0o055 & ~_umask()
    assert (file.stat().st_mtime, file.stat().st_mode, file.stat().st_ino) == (
        before.st_mtime,
        before.st_mode,
        before.st_ino,
    )
    assert trash.list_() == []
    assert list((tmp_path / ".studiolo/trash").iterdir()) == []


def test_a_folder_goes_with_all_that_is_in_it(trash: Trash, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").touch()
    what = trash.discard("deep", by="")
    assert what.size is None
    assert trash.restore(what.id) == "deep"
    assert (tmp_path / "deep/er/file").exists()


def test_what_comes_back_overwrites_nothing(trash: Trash, tmp_path: Path) -> None:
    names = []
    for number in range(3):
        (tmp_path / "a.tar.gz").write_text(str(number))
        trash.discard("a.tar.gz", by="")
    (tmp_path / "a.tar.gz").write_text("new")
    for what in trash.list_():
        names.append(trash.restore(what.id))
    assert names == ["a.tar (restored).gz", "a.tar (restored 2).gz", "a.tar (restored 3).gz"]
    assert (tmp_path / "a.tar.gz").read_text() == "new"
    assert (tmp_path / "a.tar (restored).gz").read_text() == "2"


def test_the_longest_name_comes_back_beside_another(trash: Trash, tmp_path: Path) -> None:
    name = "ü" * 125 + ".ipyn"
    (tmp_path / name).touch()
    what = trash.discard(name, by="")
    (tmp_path / name).touch()
    back = trash.restore(what.id)
    assert (tmp_path / back).exists()
    assert back.endswith(" (restored).ipyn")


def test_a_file_comes_back_where_files_have_but_one_name(
    trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("a")
    what = trash.discard("a", by="")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert trash.restore(what.id) == "a"
    assert (tmp_path / "a").read_text() == "a"


def test_a_link_goes_itself_and_what_it_leads_to_stays(trash: Trash, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to("target")
    what = trash.discard("link", by="")
    assert (tmp_path / "target").read_text() == "kept"
    trash.restore(what.id)
    assert (tmp_path / "link").is_symlink()


def test_nothing_is_discarded_through_a_link(trash: Trash, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "file").touch()
    (tmp_path / "link").symlink_to(outside)
    with pytest.raises(OSError, match=r"link|directory"):
        trash.discard("link/file", by="")
    assert (outside / "file").exists()
    assert trash.list_() == []


def test_a_description_of_somebodys_own_making_leads_nowhere(trash: Trash, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    what = trash.discard("a", by="")
    described = tmp_path / f".studiolo/trash/{what.id}.json"
    for path in ("../outside", "/etc/passwd", "a\0", 7, "x/../../a"):
        described.write_text(json.dumps({"path": path, "at": 1, "by": "", "size": 1}))
        assert trash.find(what.id) is None
        with pytest.raises(FileNotFoundError):
            trash.restore(what.id)
    described.write_text("[" * 100_000)
    assert trash.list_() == []
    assert trash.find("../../etc") is None


def test_what_is_erased_is_gone_and_links_in_it_are_not_followed(trash: Trash, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "kept")
    what = trash.discard("folder", by="")
    trash.erase(what.id)
    trash.erase(what.id)
    assert trash.list_() == []
    assert list((tmp_path / ".studiolo/trash").iterdir()) == []
    assert (tmp_path / "kept").read_text() == "kept"


def test_only_what_is_old_is_pruned_and_what_a_kill_left(trash: Trash, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).touch()
    old, new = trash.discard("old", by=""), trash.discard("new", by="")
    described = tmp_path / f".studiolo/trash/{old.id}.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"at": 5}))
    lone = tmp_path / ".studiolo/trash" / ("0" * 20)
    lone.mkdir()
    os.utime(lone, (time.time() - 100_000,) * 2)
    trash.prune(before=10)
    assert trash.list_() == [new]
    assert not lone.exists()


def test_what_cannot_be_moved_stays_where_it_is(trash: Trash, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        trash.discard("absent", by="")
    assert trash.list_() == []
    with pytest.raises(OSError):
        # Onto a place within itself.
        trash.discard(".studiolo", by="")
    assert list((tmp_path / ".studiolo/trash").iterdir()) == []


@pytest.mark.skipif(not is_possible(), reason="only root gives workspaces accounts")
def test_what_its_owner_closed_is_erased_with_the_rest(trash: Trash, tmp_path: Path) -> None:
    closed = tmp_path / "a" / "b" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    (closed / "link").symlink_to(tmp_path)
    for folder in (closed, closed.parent):
        folder.chmod(0o100)
    hand_over(tmp_path, (LOWEST, LOWEST))
    trash.erase(trash.discard("a", by="p-1").id)
    assert list((tmp_path / ".studiolo" / "trash").iterdir()) == []
