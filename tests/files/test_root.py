"""Nothing leads out of a workspace's folder."""

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest

from studiolo.contract.errors import StudioloError
from studiolo.files.names import to_wire
from studiolo.files.root import Root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with links of every kind, beside a secret."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secrets").mkdir()
    made = tmp_path / "w"
    (made / "notebooks" / "deep").mkdir(parents=True)
    (made / "notebooks" / "a.txt").write_text("inside")
    (made / ".studiolo" / "trash").mkdir(parents=True)
    (made / ".studiolo" / "x").write_text("ours")
    for name, target in {
        "out": "../secret",
        "out-folder": "../secrets",
        "out-absolute": str(tmp_path / "secret"),
        "out-by-inside": "notebooks/../../secret",
        "in": "notebooks/a.txt",
        "in-folder": "notebooks",
        "in-absolute": str(made / "notebooks" / "a.txt"),
        "notebooks/up": "../notebooks/./a.txt",
        "loop": "loop",
        "loop-a": "loop-b",
        "loop-b": "loop-a",
        "nowhere": "gone",
        "ours": ".studiolo/x",
        "proc": "/proc/self/root",
    }.items():
        (made / name).symlink_to(target)
    os.mkfifo(made / "pipe")
    return made


def read(folder: Path, path: str) -> bytes:
    with Root(folder) as root, root.open_file(path) as found:
        return os.read(found.handle, 100)


@pytest.mark.parametrize(
    "path", ["notebooks/a.txt", "in", "in-folder/a.txt", "in-absolute", "notebooks/up", "in-folder/up"]
)
def test_links_that_stay_inside_are_followed_for_reading(folder: Path, path: str) -> None:
    assert read(folder, path) == b"inside"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("out", "path-outside"),
        ("out-folder/x", "path-outside"),
        ("out-absolute", "path-outside"),
        ("out-by-inside", "path-outside"),
        ("proc/etc/passwd", "path-outside"),
        ("../secret", "path-outside"),
        ("ours", "name-reserved"),
        (".studiolo/x", "name-reserved"),
        ("in-folder/../.studiolo/x", "path-outside"),
        ("loop", "links-too-many"),
        ("loop-a/x", "links-too-many"),
        ("nowhere", "file-not-found"),
        ("gone", "file-not-found"),
        ("gone/deeper", "file-not-found"),
        ("notebooks/a.txt/deeper", "file-not-folder"),
        ("notebooks", "file-is-folder"),
        ("pipe", "file-not-regular"),
    ],
)
def test_what_leads_out_or_is_no_file_is_refused(folder: Path, path: str, code: str) -> None:
    with pytest.raises(StudioloError) as caught:
        read(folder, path)
    assert caught.value.code == code
    assert str(folder) not in caught.value.message


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("in-folder/new", "link-not-written"),
        ("out-folder/new", "link-not-written"),
        ("loop/new", "link-not-written"),
        ("proc/new", "link-not-written"),
        ("notebooks/a.txt/new", "file-not-folder"),
        ("gone/new", "file-not-found"),
        (".studiolo/new", "name-reserved"),
        ("", "path-outside"),
    ],
)
def test_changes_pass_through_no_link(folder: Path, path: str, code: str) -> None:
    with pytest.raises(StudioloError) as caught, Root(folder) as root, root.place(path):
        pass
    assert caught.value.code == code


def test_folders_on_the_way_are_made_when_asked(folder: Path) -> None:
    with Root(folder) as root, root.new_place("new/and/deep/file", make_folders=True) as place:
        assert place.stat() is None
        assert (place.name, place.path) == ("file", "new/and/deep/file")
    assert (folder / "new" / "and" / "deep").is_dir()


def test_sockets_and_devices_are_not_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        with pytest.raises(StudioloError) as caught:
            read(folder, "sock")
    assert caught.value.code == "file-not-regular"


def test_a_name_that_is_no_text_is_read(folder: Path) -> None:
    raw = os.fsencode(folder) + b"/caf\xe9"
    Path(os.fsdecode(raw)).write_bytes(b"coffee")
    assert read(folder, to_wire("caf\udce9")) == b"coffee"


def test_a_folder_that_is_gone_is_told_without_its_place(tmp_path: Path) -> None:
    with pytest.raises(StudioloError) as caught:
        Root(tmp_path / "gone")
    assert caught.value.code == "folder-not-found"
    assert str(tmp_path) not in caught.value.message


def test_a_folder_that_turns_into_a_link_meanwhile_never_leads_out(folder: Path) -> None:
    """Somebody swaps a folder and a link to outside as fast as they can; no read ever sees the secret."""
    outside = folder.parent / "secrets"
    (outside / "a.txt").write_text("secret")
    (folder / "evil").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (folder / "notebooks").rename(folder / "aside")
            (folder / "evil").rename(folder / "notebooks")
            (folder / "notebooks").rename(folder / "evil")
            (folder / "aside").rename(folder / "notebooks")

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(2000):
            try:
                seen.add(read(folder, "notebooks/a.txt"))
            except StudioloError as exc:
                seen.add(exc.code.encode())
    finally:
        stop.set()
        swapper.join()
    assert b"secret" not in seen
    assert seen <= {b"inside", b"path-outside", b"file-not-found", b"file-not-folder", b"file-not-regular"}


def open_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_handle_stays_open(folder: Path) -> None:
    before = open_handles()
    for path in ("in-folder/up", "out-folder/x", "loop", "notebooks/deep"):
        with contextlib.suppress(StudioloError):
            read(folder, path)
    with Root(folder) as root, root.own("parts"):
        pass
    assert open_handles() == before
    assert (folder / ".studiolo" / "parts").stat().st_mode & 0o777 == 0o700
