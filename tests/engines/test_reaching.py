"""What accounts of workspaces cannot reach is named."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.engines.local.reaching import find_closed
from studiolo.runtime.acting import LOWEST, is_possible

pytestmark = pytest.mark.skipif(not is_possible(), reason="only root of a Linux can act as others")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as top:
        Path(top).chmod(0o755)
        yield Path(top)


def test_what_everybody_may_run_is_open(folder: Path) -> None:
    program = folder / "python"
    program.touch(0o755)
    assert find_closed([program, folder, folder / "not-there"], LOWEST) is None


def test_the_first_folder_that_is_closed_is_named(folder: Path) -> None:
    program = folder / "home" / "inner" / "python"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    program.parent.parent.chmod(0o700)
    assert find_closed([program], LOWEST) == folder / "home"


@pytest.mark.parametrize("mode", [0o700, 0o744])
def test_a_program_that_others_may_not_run_is_named(folder: Path, mode: int) -> None:
    program = folder / "python"
    program.touch(mode)
    assert find_closed([program], LOWEST) == program
