"""Making, moving, copying and discarding."""

import os
from pathlib import Path

import pytest

from studiolo.contract.errors import StudioloError
from studiolo.files import tree
from studiolo.files.root import Root
from studiolo.runtime.history.trash import Trash


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x").write_text("x")
    (tmp_path / "a" / ".studiolo").mkdir()
    (tmp_path / "a" / "link").symlink_to("/etc/passwd")
    (tmp_path / "b").write_text("b")
    os.mkfifo(tmp_path / "pipe")
    return Root(tmp_path)


def code_of(caught: pytest.ExceptionInfo[StudioloError]) -> str:
    return caught.value.code


def copy(root: Root, path: str, to: str) -> None:
    with tree.copied(root, path) as aside:
        tree.place_copy(root, aside, to)


def test_a_folder_is_made_with_those_on_the_way(root: Root) -> None:
    tree.make_folder(root, "new/and/deep")
    assert (root.folder / "new" / "and" / "deep").is_dir()
    with pytest.raises(StudioloError) as caught:
        tree.make_folder(root, "new/and")
    assert code_of(caught) == "file-exists"


@pytest.mark.parametrize("to", ["c", "a/deep/c", "ü und so.txt"])
def test_a_file_moves(root: Root, to: str) -> None:
    tree.move(root, "b", to)
    assert (root.folder / to).read_text() == "b"
    assert not (root.folder / "b").exists()


def test_a_folder_moves_with_all_in_it(root: Root) -> None:
    tree.move(root, "a", "c")
    assert (root.folder / "c" / "deep" / "x").read_text() == "x"


@pytest.mark.parametrize(
    ("path", "to", "code"),
    [
        ("a", "a/deep/a", "folder-into-itself"),
        ("a", "a", "folder-into-itself"),
        ("b", "a", "file-exists"),
        ("a", "b", "file-exists"),
        ("gone", "c", "file-not-found"),
        ("b", "gone/c", "file-not-found"),
        ("b", "../c", "path-outside"),
        ("b", "a/.studiolo/c", "name-reserved"),
        ("", "c", "path-outside"),
        ("b", "c\nd", "name-invalid"),
    ],
)
def test_what_cannot_move_stays(root: Root, path: str, to: str, code: str) -> None:
    with pytest.raises(StudioloError) as caught:
        tree.move(root, path, to)
    assert code_of(caught) == code
    assert (root.folder / "b").read_text() == "b"
    assert (root.folder / "a" / "deep" / "x").exists()


def test_a_link_is_moved_itself(root: Root) -> None:
    tree.move(root, "a/link", "link")
    assert (root.folder / "link").readlink() == Path("/etc/passwd")


def test_a_copy_is_another_file_and_links_stay_links(root: Root) -> None:
    copy(root, "a", "c")
    (root.folder / "a" / "deep" / "x").write_text("changed")
    assert (root.folder / "c" / "deep" / "x").read_text() == "x"
    assert (root.folder / "c" / "link").is_symlink()
    assert not (root.folder / "c" / ".studiolo").exists()
    copy(root, "b", "a/b")
    assert (root.folder / "a" / "b").read_text() == "b"
    assert list((root.folder / ".studiolo" / "parts").iterdir()) == []


def test_a_copy_overwrites_nothing_and_leaves_nothing(root: Root) -> None:
    for path, to, code in (
        ("b", "a", "file-exists"),
        ("pipe", "c", "file-not-regular"),
        ("gone", "c", "file-not-found"),
    ):
        with pytest.raises(StudioloError) as caught:
            copy(root, path, to)
        assert code_of(caught) == code
    assert list((root.folder / ".studiolo" / "parts").iterdir()) == []


def test_what_is_discarded_comes_back(root: Root) -> None:
    trash_id = tree.discard(root, "a", by="p-1")
    assert not (root.folder / "a").exists()
    assert Trash(root.folder).restore(trash_id) == "a"
    assert (root.folder / "a" / "deep" / "x").read_text() == "x"
    with pytest.raises(StudioloError) as caught:
        tree.discard(root, "gone", by="p-1")
    assert code_of(caught) == "file-not-found"
