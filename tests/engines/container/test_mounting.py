"""Mounting folders of this machine where a process of a container sees them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.runtime.kernelcommands import program

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root mounts folders into a container"
)


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[int]:
    """A process with mounts of its own; `tmp_path/box` is another folder there."""
    box = tmp_path / "box"
    box.mkdir()
    script = f"mount -t tmpfs box {box} && echo ready && exec cat"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


def mount(pid: int, *mounts: tuple[Path, Path, bool]) -> "subprocess.CompletedProcess[str]":
    told = json.dumps([[str(source), str(target), writable] for source, target, writable in mounts])
    command = [sys.executable, "-I", "-S", *program("mounting", str(pid))]
    return subprocess.run(command, input=told, text=True, capture_output=True, check=False, timeout=60)


def run(pid: int, script: str) -> "subprocess.CompletedProcess[str]":
    command = ["nsenter", "--mount", "--target", str(pid), "sh", "-c", script]
    return subprocess.run(command, text=True, capture_output=True, check=False, timeout=60)


def test_folders_and_files_are_there_in_order_and_writable_only_if_asked(tmp_path: Path, inside: int) -> None:
    source, box = tmp_path / "source", tmp_path / "box"
    (source / "inner").mkdir(parents=True)
    (source / "file").write_text("seen")
    done = mount(
        inside,
        (source, box / "read" / "only", False),
        (source, box / "open", True),
        (source / "file", box / "open" / "inner" / "one", False),
    )
    assert done.returncode == 0, done.stderr
    assert run(inside, f"cat {box}/read/only/file {box}/open/inner/one").stdout == "seenseen"
    assert run(inside, f"touch {box}/read/only/new").returncode != 0
    assert run(inside, f"touch {box}/open/new").returncode == 0
    assert (source / "new").exists()
    # The root is closed again, and the machine has none of it.
    assert run(inside, "touch /studiolo-test").returncode != 0
    assert list(box.iterdir()) == []
    assert str(box) not in Path("/proc/self/mountinfo").read_text()


def test_a_folder_that_is_not_there_is_said_to_be_so(tmp_path: Path, inside: int) -> None:
    done = mount(inside, (tmp_path / "nothing", tmp_path / "box" / "x", False))
    assert done.returncode == 1
    assert str(tmp_path / "nothing") in done.stderr


def test_nothing_is_mounted_for_a_process_of_the_machine_itself(tmp_path: Path) -> None:
    done = mount(os.getpid(), (tmp_path, tmp_path / "box", False))
    assert (done.returncode, "in no container" in done.stderr) == (1, True)
    assert not (tmp_path / "box").exists()
