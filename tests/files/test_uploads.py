"""Uploads on disk: what stays, what goes, what is told."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from studiolo.contract.errors import StudioloError
from studiolo.files.host.upload_routes import _Taken
from studiolo.files.root import Root
from studiolo.files.uploads.store import Uploads
from studiolo.files.uploads.upload import Wish

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def parts(root: Root) -> list[str]:
    return sorted(path.name for path in (root.folder / ".studiolo" / "parts").iterdir())


def test_what_nobody_goes_on_with_is_removed_by_the_next_upload(root: Root) -> None:
    with Uploads(root) as uploads:
        old = uploads.begin(Wish("a", 5), "p-1", NOW)
        uploads.begin(Wish("b", 5), "p-1", NOW + timedelta(days=6))
        assert uploads.find(old.id, "p-1") == (old, 0)
        uploads.begin(Wish("c", 5), "p-1", NOW + timedelta(days=8))
        with pytest.raises(StudioloError) as caught:
            uploads.find(old.id, "p-1")
    assert caught.value.code == "upload-not-found"
    assert len(parts(root)) == 4


def test_another_persons_upload_looks_like_none(root: Root) -> None:
    with Uploads(root) as uploads:
        made = uploads.begin(Wish("a", 5), "p-1", NOW)
        for upload_id, person in ((made.id, "p-2"), (made.id[:-1] + "x", "p-1"), ("../../secret", "p-1")):
            with pytest.raises(StudioloError) as caught:
                uploads.find(upload_id, person)
            assert caught.value.code == "upload-not-found"


def test_a_part_whose_checksum_never_came_does_not_count(root: Root) -> None:
    with Uploads(root) as uploads:
        made = uploads.begin(Wish("a", 10), "p-1", NOW)
        with uploads.open_data(made, 0) as handle:
            os.write(handle, b"12345")
        marked = uploads.mark(made, unverified=5)
        with uploads.open_data(marked, 5) as handle:
            os.write(handle, b"???")
        # As after a kill: the next one reads what lies there.
        assert uploads.find(made.id, "p-1")[1] == 5
        uploads.mark(marked, unverified=None)
        assert uploads.find(made.id, "p-1")[1] == 8


def test_a_state_that_somebody_wrote_by_hand_is_no_upload(root: Root) -> None:
    with Uploads(root) as uploads:
        made = uploads.begin(Wish("a", 5), "p-1", NOW)
        state = root.folder / ".studiolo" / "parts" / f"{made.id}.json"
        for text in (
            "",
            "[]",
            "{}",
            '{"wish": {}}',
            '{"wish": 3}',
            state.read_text().replace('"size": 5', '"size": -1'),
            state.read_text().replace('"expires": ', '"expires": "soon", "other": '),
            re.sub('"expires": [0-9.]+', '"expires": "soon"', state.read_text()),
            state.read_text().replace('"unverified": null', '"unverified": "x"'),
            state.read_text().replace('"modified": null', '"modified": "x"'),
            state.read_text().replace('"sha256": null', '"sha256": 3'),
            "[" * 60_000,
        ):
            state.write_text(text)
            with pytest.raises(StudioloError) as caught:
                uploads.find(made.id, "p-1")
            assert caught.value.code == "upload-not-found"
            # Nor is it in the way of others.
            uploads.begin(Wish("b", 5), "p-2", NOW)


def test_the_note_of_a_clone_beside_uploads_keeps_nobody_from_one(root: Root) -> None:
    with Uploads(root) as uploads:
        (root.folder / ".studiolo" / "parts" / "clone.json").write_text('{"state": "running", "url": "https://x/y"}')
        assert uploads.begin(Wish("a", 5), "p-1", NOW).wish.path == "a"
    assert (root.folder / ".studiolo" / "parts" / "clone.json").exists()


def test_a_pipe_in_the_place_of_an_uploads_bytes_holds_nobody(root: Root) -> None:
    with Uploads(root) as uploads:
        made = uploads.begin(Wish("a", 0, sha256="0" * 64), "p-1", NOW)
        data = root.folder / ".studiolo" / "parts" / made.data_name
        data.unlink()
        os.mkfifo(data)
        for work in (uploads.verify, uploads.place):
            with pytest.raises(StudioloError) as caught:
                work(made)
            assert caught.value.code == "upload-not-found"
        assert not (root.folder / "a").exists()


def test_a_name_that_was_taken_meanwhile_keeps_both(root: Root) -> None:
    with Uploads(root) as uploads:
        made = uploads.begin(Wish("folder/a", 1), "p-1", NOW)
        with uploads.open_data(made, 0) as handle:
            os.write(handle, b"n")
        (root.folder / "folder").mkdir()
        (root.folder / "folder" / "a").write_text("was first")
        with pytest.raises(StudioloError) as caught:
            uploads.place(made)
        assert caught.value.code == "file-exists"
        assert (root.folder / "folder" / "a").read_text() == "was first"
        assert uploads.find(made.id, "p-1")[1] == 1


def test_a_link_is_not_overwritten_and_not_written_through(root: Root) -> None:
    (root.folder / "target").write_text("target")
    (root.folder / "link").symlink_to("target")
    with Uploads(root) as uploads:
        for wish in (Wish("link", 1, overwrite=True), Wish("link", 1)):
            with pytest.raises(StudioloError) as caught:
                uploads.begin(wish, "p-1", NOW)
            assert caught.value.code == "file-exists"
    assert (root.folder / "target").read_text() == "target"


def test_a_full_disk_is_told_as_such() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(StudioloError) as caught:
            _Taken(full, Wish("data/a", 5), 0, None)._write([b"hello"])
    finally:
        os.close(full)
    assert caught.value.code == "disk-full"
    assert "data/a" in caught.value.message
