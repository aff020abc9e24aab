"""What is in a folder."""

import os
from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.errors import StudioloError
from studiolo.contract.files import FileEntry, FileKind, FileSort
from studiolo.contract.models import Page
from studiolo.files import listing
from studiolo.files.listing import describe
from studiolo.files.names import from_wire
from studiolo.files.root import Root


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / ".studiolo").mkdir()
    (tmp_path / "Zeta").mkdir()
    (tmp_path / "alpha").mkdir()
    for name, size in {"b.txt": 3, "A.txt": 1, "ünder.csv": 2, "c d.ipynb": 9}.items():
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "link").symlink_to("alpha")
    (tmp_path / "nowhere").symlink_to("/etc/passwd")
    return Root(tmp_path)


def list_folder(root: Root, path: str, **asked: Any) -> Page[FileEntry]:
    return Page[FileEntry].model_validate_json(listing.list_folder(root, path, **asked))


def names(root: Root, **asked: Any) -> list[str]:
    return [entry.name for entry in list_folder(root, "", **asked).items]


def test_folders_come_first_and_our_own_never(root: Root) -> None:
    assert names(root) == ["alpha", "Zeta", "A.txt", "b.txt", "c d.ipynb", "link", "nowhere", "ünder.csv"]


def test_pages_together_are_the_whole(root: Root) -> None:
    for sort in FileSort:
        seen: list[str] = []
        cursor = None
        while True:
            page = list_folder(root, "", cursor=cursor, limit=3, sort=sort)
            seen += [entry.name for entry in page.items]
            if (cursor := page.next_cursor) is None:
                break
        assert seen == names(root, sort=sort)
        assert len(seen) == 8


def test_the_largest_come_first_by_size(root: Root) -> None:
    sizes = [entry.size for entry in list_folder(root, "", sort=FileSort.SIZE).items if entry.kind is FileKind.FILE]
    assert sizes == [9, 3, 2, 1]


def test_a_filter_knows_no_case(root: Root) -> None:
    assert names(root, text="TXT") == ["A.txt", "b.txt"]
    assert names(root, text="Ü") == ["ünder.csv"]


def test_links_say_what_they_lead_to(root: Root) -> None:
    assert describe(root, "link").leads_to is FileKind.FOLDER
    outside = describe(root, "nowhere")
    assert (outside.kind, outside.leads_to) == (FileKind.LINK, None)


def test_the_etag_changes_with_the_content(root: Root) -> None:
    before = describe(root, "b.txt").etag
    assert before == describe(root, "b.txt").etag
    (root.folder / "b.txt").write_bytes(b"yyy")
    os.utime(root.folder / "b.txt", (1, 1))
    assert describe(root, "b.txt").etag != before


def test_a_name_that_is_no_text_is_listed_and_found(root: Root) -> None:
    Path(os.fsdecode(os.fsencode(root.folder) + b"/caf\xe9")).touch()
    (entry,) = list_folder(root, "", text="caf").items
    assert not entry.is_text
    assert from_wire(entry.path) == "caf\udce9"
    assert describe(root, entry.path).kind is FileKind.FILE


def test_names_of_signs_that_json_escapes_are_listed_as_they_are(root: Root) -> None:
    name = 'a "b" \\ \n\x01\u2028\x7f'
    (root.folder / name).mkdir()
    (root.folder / name / name).touch()
    (entry,) = list_folder(root, name).items
    assert (entry.name, entry.path) == (name, f"{name}/{name}")


def test_a_time_that_no_calendar_has_is_left_out(root: Root) -> None:
    os.utime(root.folder / "b.txt", (2**40, 2**40))
    assert describe(root, "b.txt").kind is FileKind.FILE


def test_foreign_cursors_are_refused(root: Root) -> None:
    page = list_folder(root, "", limit=1)
    for cursor, sort in (("bogus", FileSort.NAME), (page.next_cursor, FileSort.SIZE)):
        with pytest.raises(StudioloError) as caught:
            list_folder(root, "", cursor=cursor, sort=sort)
        assert caught.value.code == "cursor-invalid"


def test_what_is_not_there_is_told(root: Root) -> None:
    for path, code in (("gone", "file-not-found"), ("b.txt", "file-not-folder")):
        with pytest.raises(StudioloError) as caught:
            list_folder(root, path)
        assert caught.value.code == code
