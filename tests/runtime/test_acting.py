"""Acting for others: what a thread makes belongs to them, and what they may not read it may not either."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from studiolo.runtime.acting import acting_as, hand_over, is_possible, opened_by_owner, owner_of

pytestmark = pytest.mark.skipif(not is_possible(), reason="only root on Linux acts for others")
OWNER = (2_001_000_007, 2_001_000_007)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of OWNER's, in one that it may not enter."""
    made = tmp_path / "closed" / "workspace"
    made.mkdir(parents=True)
    made.parent.chmod(0o700)
    os.chown(made, *OWNER)
    made.chmod(0o700)
    return made


def test_what_is_made_belongs_to_the_owner(folder: Path) -> None:
    with opened_by_owner(folder) as handle:
        os.mkdir("inner", dir_fd=handle)
        os.close(os.open("inner/file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))

    for name in ("inner", "inner/file"):
        seen = (folder / name).stat()
        assert (seen.st_uid, seen.st_gid) == OWNER


def test_roots_own_files_are_closed_to_who_acts_for_an_owner(folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    # Its group, too: what is only for the group root is not for owners.
    shared = folder.parent / "shared"
    shared.write_text("the group's")
    shared.chmod(0o640)
    (folder / "link").symlink_to(secret)
    above = os.open(folder.parent, os.O_RDONLY)
    with opened_by_owner(folder) as handle:
        for name, place in (("link", handle), ("secret", above), ("shared", above)):
            with pytest.raises(PermissionError):
                os.open(name, os.O_RDONLY, dir_fd=place)
        with pytest.raises(PermissionError):
            os.open("planted", os.O_CREAT | os.O_WRONLY, dir_fd=above)
    os.close(above)
    assert (folder / "link").read_text() == "root's"


def test_other_threads_stay_who_they_are(folder: Path) -> None:
    acting, seen = threading.Event(), threading.Event()

    def act() -> None:
        with opened_by_owner(folder):
            acting.set()
            assert seen.wait(30)

    with ThreadPoolExecutor(1) as other:
        done = other.submit(act)
        assert acting.wait(30)
        mine = folder / "mine"
        mine.touch()
        assert mine.stat().st_uid == 0
        assert (Path("/proc/thread-self/status").read_text().split("Uid:")[1].split()[:4]) == ["0"] * 4
        seen.set()
        done.result(30)


def test_an_error_leaves_the_thread_as_it_was(folder: Path) -> None:
    groups = os.getgroups()

    def fail() -> None:
        with acting_as(OWNER), acting_as((OWNER[0] + 1, OWNER[1] + 1)):
            assert os.getgroups() == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    (folder / "after").touch()
    assert (folder / "after").stat().st_uid == 0
    assert os.getgroups() == groups


def test_who_acts_still_ends_with_its_parent(folder: Path) -> None:
    """As the platform's parts do, some of which act in their first thread."""
    script = (
        "import ctypes, os, sys; from pathlib import Path; from studiolo.runtime.acting import opened_by_owner\n"
        "prctl, found = ctypes.CDLL(None).prctl, ctypes.c_int()\n"
        "prctl(1, 15, 0, 0, 0)\n"
        "with opened_by_owner(Path(sys.argv[1])): pass\n"
        "prctl(2, ctypes.byref(found), 0, 0, 0); print(found.value)"
    )
    said = subprocess.run([sys.executable, "-c", script, folder], check=True, capture_output=True, text=True)
    assert said.stdout == "15\n"


def test_who_acts_for_one_opens_another_folder_as_oneself(folder: Path, tmp_path: Path) -> None:
    with acting_as((OWNER[0] + 1, OWNER[1] + 1)), opened_by_owner(folder) as handle:
        os.mkdir("made", dir_fd=handle)

    assert (folder / "made").stat().st_uid == OWNER[0]
    assert owner_of(tmp_path) is None
    assert owner_of(folder) == OWNER


def test_a_folder_changes_hands_whole_and_takes_nothing_else_along(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "a" / "b").mkdir(parents=True)
    (mine / "a" / "file").write_text("x")
    os.link(mine / "a" / "file", mine / "a" / "b" / "same")
    outside = tmp_path / "outside"
    outside.write_text("x")
    os.link(outside, mine / "a" / "shared")
    (mine / "link").symlink_to(outside)

    for _ in range(2):
        hand_over(mine, OWNER)

    given = {str(path.relative_to(mine)): path.lstat().st_uid for path in mine.rglob("*")}
    assert given.pop("a/shared") == outside.stat().st_uid == 0
    assert set(given.values()) == {OWNER[0]}
    assert set(given) == {"a", "a/b", "a/file", "a/b/same", "link"}
    assert owner_of(mine) == OWNER
