"""Bases of environments: what users of a clone write about it leads nowhere else."""

from pathlib import Path

import pytest

from studiolo.engines.ground import find_interpreters
from studiolo.runtime.bases import base_of, bases_of
from studiolo.runtime.kernelcommands import BASE_FILE


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """An environment beside the base it says it is of, whose interpreter lies elsewhere."""
    places = {name: tmp_path / "environments" / name for name in ("base-one", "w-mine", "w-other")}
    for place in (*places.values(), tmp_path / "python"):
        (place / "bin").mkdir(parents=True)
    (places["base-one"] / "bin/python").symlink_to(tmp_path / "python/bin/python3")
    (places["w-mine"] / "bin/python").symlink_to(tmp_path / "python/bin/python3")
    (places["w-mine"] / BASE_FILE).write_text(str(places["base-one"]))
    return places["w-mine"]


def test_a_base_lies_beside_its_clone(clone: Path) -> None:
    assert base_of(clone) == clone.with_name("base-one")


@pytest.mark.parametrize("said", ["/elsewhere/base-two", "w-other", "../environments", "base-one/../w-other", ""])
def test_what_is_no_base_beside_it_is_not_believed(clone: Path, said: str) -> None:
    (clone / BASE_FILE).write_text(said)
    assert base_of(clone) == clone
    assert bases_of(clone) == [clone.with_name("base-one")]


def test_a_link_or_pipe_tells_of_no_base(clone: Path, tmp_path: Path) -> None:
    (clone / BASE_FILE).rename(tmp_path / "told")
    (clone / BASE_FILE).symlink_to(tmp_path / "told")
    assert base_of(clone) == clone


@pytest.mark.parametrize("target", ["python", "../../w-other/bin/python", "/home/somebody/bin/python"])
@pytest.mark.parametrize("is_told", [True, False])
def test_links_of_a_clone_show_a_container_no_folder(
    clone: Path, tmp_path: Path, target: str, *, is_told: bool
) -> None:
    (clone / "bin/python").unlink()
    (clone / "bin/python").symlink_to(target)
    if not is_told:
        (clone / BASE_FILE).unlink()
    assert find_interpreters(clone) == [tmp_path / "python/bin"]
