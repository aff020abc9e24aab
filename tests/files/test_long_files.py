"""Writing long files."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from studiolo.contract.long_files import WriteBehind

_MIB = 1 << 20


def write(path: Path, mebibytes: int) -> None:
    with path.open("wb", buffering=0) as file:
        behind = WriteBehind(file.fileno(), 0)
        for number in range(1, mebibytes + 1):
            file.write(bytes([number]) * _MIB)
            if number == mebibytes:
                os.fsync(file.fileno())
            behind.reached(number * _MIB)


def in_memory(path: Path) -> int:
    argv = ["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)]
    return int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not shutil.which("fincore"), reason="nothing here tells what of a file is in memory")
def test_a_long_file_leaves_memory_once_it_is_on_the_disk_and_a_short_one_stays(tmp_path: Path) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    write(long, 72)
    write(short, 16)
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], check=True, capture_output=True, text=True).stdout
    assert in_memory(short) == 16 * _MIB
    assert in_memory(long) < 36 * _MIB or kind.strip() == "tmpfs"


def test_what_was_let_go_is_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "long", 72)
    with (tmp_path / "long").open("rb") as file:
        for number in range(1, 73):
            assert file.read(_MIB) == bytes([number]) * _MIB
