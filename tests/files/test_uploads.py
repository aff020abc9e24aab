"""Uploads on disk: what stays, what goes, what is told."""

import os
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
        ):
            state.write_text(text)
            with pytest.raises(StudioloError) as caught:
                uploads.find(made.id, "p-1")
            assert caught.value.code == "upload-not-found"


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
