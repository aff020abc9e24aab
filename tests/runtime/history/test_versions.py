"""Versions: what is kept, under which name, for how long, and what damage does to it."""

import os
import threading
import time
from pathlib import Path

import pytest

from studiolo.runtime.history.lines import Lines
from studiolo.runtime.history.place import FileTooLongError
from studiolo.runtime.history.versions import Versions

DAY = 86_400


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def contents(versions: Versions, path: str) -> list[bytes]:
    return [versions.read(version) for version in versions.list_(path)]


def age(root: Path, seconds: float) -> None:
    """Have everything that is kept be older, as if the clock had gone on."""
    for log in (root / ".studiolo" / "history").rglob("*.jsonl"):
        parts, name = log.parent.relative_to(root).parts, log.name
        lines = Lines(root, parts, name).read()
        log.unlink()
        Lines(root, parts, name).append(*({**line, "at": line["at"] - seconds} for line in lines))
    for kept in (root / ".studiolo" / "history" / "objects").rglob("*"):
        os.utime(kept, (time.time() - seconds,) * 2)


def test_versions_come_back_newest_first(versions: Versions) -> None:
    for content in (b"one", b"two", b"three"):
        versions.keep("a.ipynb", content, by="p-1", how="session")
    assert contents(versions, "a.ipynb") == [b"three", b"two", b"one"]
    newest = versions.list_("a.ipynb")[0]
    assert (newest.by, newest.how, newest.size, newest.path) == ("p-1", "session", 5, "a.ipynb")
    assert versions.find("a.ipynb", newest.id) == newest
    assert versions.list_("b.ipynb") == []


def test_a_content_is_kept_once_whatever_the_file(versions: Versions, tmp_path: Path) -> None:
    for path in ("a.ipynb", "b/c.ipynb", "a.ipynb"):
        versions.keep(path, b"same" * 1000, by="", how="session")
    kept = [file for file in (tmp_path / ".studiolo/history/objects").rglob("*") if file.is_file()]
    assert len(kept) == 1
    assert kept[0].stat().st_size < 200


@pytest.mark.parametrize("path", ["", "..", "a/../../b", "/etc/passwd", "a\0b"])
def test_paths_that_lead_elsewhere_are_refused(versions: Versions, path: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        versions.keep(path, b"", by="", how="session")


@pytest.mark.parametrize("part", [".studiolo", ".studiolo/history", ".studiolo/history/log"])
def test_a_planted_link_leads_nowhere(tmp_path: Path, part: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    (inside / part).parent.mkdir(parents=True)
    (inside / part).symlink_to(outside)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        Versions(inside).keep("a.ipynb", b"secret", by="", how="session")
    assert list(outside.iterdir()) == []


def test_a_pipe_under_a_logs_name_holds_nobody_up(versions: Versions, tmp_path: Path) -> None:
    versions.keep("a.ipynb", b"1", by="", how="session")
    [log] = (tmp_path / ".studiolo/history/log").rglob("*.jsonl")
    log.unlink()
    os.mkfifo(log)
    with pytest.raises(OSError):
        versions.keep("a.ipynb", b"2", by="", how="session")


def test_a_torn_line_costs_only_itself(versions: Versions, tmp_path: Path) -> None:
    versions.keep("a.ipynb", b"one", by="", how="session")
    [log] = (tmp_path / ".studiolo/history/log").rglob("*.jsonl")
    with log.open("ab") as file:
        file.write(b'{"id":"half of a li')
    versions.keep("a.ipynb", b"two", by="", how="session")
    with log.open("ab") as file:
        file.write(b'[1]\n{"id": 1}\nnull\n\xff\xfe\n')
    assert contents(versions, "a.ipynb") == [b"two", b"one"]


def test_a_damaged_content_is_never_given_out(versions: Versions, tmp_path: Path) -> None:
    version = versions.keep("a.ipynb", b"one", by="", how="session")
    [kept] = [file for file in (tmp_path / ".studiolo/history/objects").rglob("*") if file.is_file()]
    kept.write_bytes(b"\0" + kept.read_bytes()[1:])
    with pytest.raises(FileNotFoundError):
        versions.read(version)


def test_a_content_made_to_fill_memory_is_not_unpacked(versions: Versions) -> None:
    version = versions.keep("a.ipynb", bytes(4 * 1024 * 1024), by="", how="session")
    with pytest.raises(FileTooLongError):
        versions.read(version, most=1024 * 1024)


def test_a_file_keeps_its_versions_under_another_name_and_in_another_folder(versions: Versions) -> None:
    versions.keep("a/x.ipynb", b"one", by="", how="session")
    versions.moved("a/x.ipynb", "a/y.ipynb")
    versions.keep("a/y.ipynb", b"two", by="", how="session")
    versions.moved("a", "b")
    versions.keep("b/y.ipynb", b"three", by="", how="session")
    assert contents(versions, "b/y.ipynb") == [b"three", b"two", b"one"]
    assert contents(versions, "a/x.ipynb") == contents(versions, "a/y.ipynb") == []


def test_a_new_file_under_an_old_name_has_a_history_of_its_own(versions: Versions) -> None:
    versions.keep("a.ipynb", b"old", by="", how="session")
    versions.moved("a.ipynb", "b.ipynb")
    versions.keep("a.ipynb", b"new", by="", how="session")
    assert contents(versions, "a.ipynb") == [b"new"]
    assert contents(versions, "b.ipynb") == [b"old"]


def test_what_was_there_thirty_days_ago_can_still_be_had(versions: Versions, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").touch()
    versions.keep("a.ipynb", b"one", by="", how="session")
    versions.keep("a.ipynb", b"two", by="", how="session")
    age(tmp_path, 40 * DAY)
    versions.keep("a.ipynb", b"three", by="", how="session")
    versions.prune(time.time() - 30 * DAY)
    assert contents(versions, "a.ipynb") == [b"three", b"two"]
    assert len([file for file in (tmp_path / ".studiolo/history/objects").rglob("*") if file.is_file()]) == 2


def test_the_last_version_stays_while_its_file_is_there(versions: Versions, tmp_path: Path) -> None:
    for name in ("there.ipynb", "gone.ipynb"):
        versions.keep(name, name.encode(), by="", how="session")
    (tmp_path / "there.ipynb").touch()
    age(tmp_path, 40 * DAY)
    versions.prune(time.time() - 30 * DAY)
    assert contents(versions, "there.ipynb") == [b"there.ipynb"]
    assert contents(versions, "gone.ipynb") == []


def test_a_refused_save_lives_its_own_thirty_days(versions: Versions, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").touch()
    versions.keep("a.ipynb", b"mine", by="", how="session")
    versions.keep("a.ipynb", b"theirs", by="", how="conflict")
    age(tmp_path, 40 * DAY)
    versions.prune(time.time() - 30 * DAY)
    assert contents(versions, "a.ipynb") == [b"mine"]


def test_a_prune_that_was_killed_in_between_loses_nothing(versions: Versions, tmp_path: Path) -> None:
    versions.keep("a.ipynb", b"one", by="", how="session")
    [log] = (tmp_path / ".studiolo/history/log").rglob("*.jsonl")
    log.rename(log.with_name(f"{log.name}.old"))
    versions.keep("a.ipynb", b"two", by="", how="session")
    assert contents(versions, "a.ipynb") == [b"two", b"one"]
    versions.prune(0)
    assert contents(versions, "a.ipynb") == [b"two", b"one"]


def test_pruning_at_the_same_time_loses_no_version(versions: Versions, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").touch()
    done = threading.Event()

    def prune() -> None:
        while not done.is_set():
            Versions(tmp_path).prune(time.time())

    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        for number in range(50):
            content = str(number).encode()
            versions.keep("a.ipynb", content, by="", how="conflict" if number % 2 else "session")
            assert content in contents(versions, "a.ipynb") or number % 2
    finally:
        done.set()
        pruner.join(60)
    versions.prune(time.time())
    assert contents(versions, "a.ipynb")[-1:] == [b"48"]
