"""Saving: by content, one at a time, and without a trace where it could not be done."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from studiolo.runtime.history.objects import digest
from studiolo.runtime.history.place import opened
from studiolo.runtime.history.saving import Outcome, locked, save
from studiolo.runtime.history.versions import Versions


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def put(versions: Versions, content: bytes, *, knows: str | None = None) -> Outcome:
    with opened(versions.root) as folder:
        return save(versions, folder, "a.ipynb", "a.ipynb", content, knows=knows, by="p-1", how="session")


def test_a_save_over_what_another_wrote_is_kept_and_not_written(versions: Versions, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(b"theirs")
    outcome = put(versions, b"mine", knows=digest(b"loaded"))
    assert outcome.hash == digest(b"theirs")
    assert (tmp_path / "a.ipynb").read_bytes() == b"theirs"
    assert outcome.conflict is not None
    assert outcome.conflict.how == "conflict"
    assert versions.read(outcome.conflict) == b"mine"


def test_the_same_content_never_conflicts(versions: Versions, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(b"same")
    assert put(versions, b"same", knows=digest(b"loaded")) == Outcome(digest(b"same"), is_written=False)
    assert versions.list_("a.ipynb") == []


def test_what_is_replaced_is_kept_first(versions: Versions, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(b"from outside")
    assert put(versions, b"new") == Outcome(digest(b"new"), is_written=True)
    assert (tmp_path / "a.ipynb").read_bytes() == b"new"
    [kept] = versions.list_("a.ipynb")
    assert (kept.how, kept.by) == ("outside", "")
    assert versions.read(kept) == b"from outside"
    put(versions, b"newer", knows=digest(b"new"))
    assert [versions.read(version) for version in versions.list_("a.ipynb")] == [b"new", b"from outside"]


def test_a_file_keeps_its_mode_and_what_is_read_only_stays(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.ipynb"
    file.touch()
    file.chmod(0o640)
    put(versions, b"1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    # Root may write everything.
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(PermissionError):
        put(versions, b"2")
    assert file.read_bytes() == b"1"


def test_nothing_is_written_through_a_link_or_a_pipe(versions: Versions, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "a.ipynb").symlink_to("other")
    with pytest.raises(OSError, match="symbolic"):
        put(versions, b"1")
    (tmp_path / "a.ipynb").unlink()
    os.mkfifo(tmp_path / "a.ipynb")
    with pytest.raises(OSError, match="plain"):
        put(versions, b"1")
    assert (tmp_path / "other").read_bytes() == b"other"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".studiolo", "a.ipynb", "other"]


_ON_A_FULL_DISK = """
import sys, os, resource, signal
from pathlib import Path
from studiolo.runtime.history.place import opened
from studiolo.runtime.history.saving import save
from studiolo.runtime.history.versions import Versions
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
root = Path(sys.argv[1])
with opened(root) as folder:
    save(Versions(root), folder, "a.ipynb", "a.ipynb", os.urandom(100_000), knows=None, by="", how="session")
"""


def test_a_write_that_ends_half_way_leaves_the_old_file_and_nothing_else(versions: Versions, tmp_path: Path) -> None:
    put(versions, b"old")
    ended = subprocess.run([sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path)], capture_output=True, check=False)
    assert b"OSError" in ended.stderr
    assert (tmp_path / "a.ipynb").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".studiolo", "a.ipynb"]


def test_of_two_who_loaded_the_same_only_one_writes(versions: Versions, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(b"loaded")
    for number in range(20):
        knows = digest((tmp_path / "a.ipynb").read_bytes())
        begin = threading.Barrier(2)
        outcomes: list[Outcome] = []

        def writer(name: str, knows: str = knows, begin: threading.Barrier = begin, at: int = number) -> None:
            begin.wait(60)
            outcomes.append(put(versions, f"{name} {at}".encode(), knows=knows))  # noqa: B023

        writers = [threading.Thread(target=writer, args=(name,)) for name in ("ana", "leo")]
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join(60)
        assert sorted(outcome.conflict is None for outcome in outcomes) == [False, True]


def test_who_holds_the_lock_for_ever_costs_others_their_save_but_not_their_server(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.runtime.history.saving._LOCK_SECONDS", 0.1)
    with locked(tmp_path), pytest.raises(TimeoutError):
        put(versions, b"1")
    assert not (tmp_path / "a.ipynb").exists()
