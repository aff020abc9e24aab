"""Names of files."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.contract.errors import InvalidInput
from studiolo.files.names import check_parts, from_wire, is_text, new_parts_of, parts_of, to_wire

ON_DISK = st.binary(min_size=1, max_size=255).filter(lambda raw: b"/" not in raw and b"\0" not in raw)


@given(ON_DISK)
def test_every_name_on_a_disk_travels_as_text_and_comes_back(raw: bytes) -> None:
    name = os.fsdecode(raw)
    travelling = to_wire(name)
    assert travelling.encode()
    assert os.fsencode(from_wire(travelling)) == raw


@given(ON_DISK, ON_DISK)
def test_two_names_on_a_disk_never_travel_alike(one: bytes, other: bytes) -> None:
    assert (to_wire(os.fsdecode(one)) == to_wire(os.fsdecode(other))) == (one == other)


@given(st.text())
def test_no_text_leads_up_or_into_our_own_folder(text: str) -> None:
    try:
        parts = parts_of(text)
    except InvalidInput:
        return
    for part in parts:
        assert part not in ("", ".", "..")
        assert "/" not in part
        assert "\0" not in part
        assert part.casefold() != ".studiolo"
        assert len(os.fsencode(part)) <= 255


@pytest.mark.parametrize("path", ["a b/ü/日本語.ipynb", "/a//b/./c/", "x" * 255, "ж" * 127, "a\nb"])
def test_spaces_scripts_and_255_bytes_are_fine(path: str) -> None:
    assert parts_of(path)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("..", "path-outside"),
        ("a/../b", "path-outside"),
        ("/../etc", "path-outside"),
        ("\uef2e\uef2e", ""),
        ("a\0b", "name-invalid"),
        ("x" * 256, "name-invalid"),
        ("ж" * 128, "name-invalid"),
        ("\ud800", "name-invalid"),
        ("a/" * 2100, "name-invalid"),
        (".studiolo/history", "name-reserved"),
        ("deep/.Studiolo", "name-reserved"),
    ],
)
def test_what_cannot_be_or_must_not_be_is_refused_with_the_reason(path: str, code: str) -> None:
    if not code:
        # Only bytes that are no text have such characters; dots and slashes cannot be written with them.
        assert parts_of(path) == (path,)
        return
    with pytest.raises(InvalidInput) as caught:
        parts_of(path)
    assert caught.value.code == code


@pytest.mark.parametrize("path", ["", "/", "a/b\nc", "tab\t", "\uef80", "bad\uefff.txt"])
def test_new_names_are_plain_text(path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        new_parts_of(path)
    assert caught.value.code == "name-invalid"


def test_bytes_that_are_no_text_are_told() -> None:
    assert is_text("ünïcode")
    assert not is_text(os.fsdecode(b"caf\xe9"))


def test_components_are_checked_without_being_split() -> None:
    with pytest.raises(InvalidInput):
        check_parts(("a", ".."))
