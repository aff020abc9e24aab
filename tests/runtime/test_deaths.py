"""Who died is found out from what the server told of; the counters are files as version 2 has them."""

import os
import time
from pathlib import Path

import pytest

from studiolo.runtime import processes
from studiolo.runtime.deaths import MemoryWatch
from studiolo.runtime.groups import Group
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.runtime.parts import Part, read_parts, write_parts

LIMIT = 1000
GONE = Part(2**22 + 1, "1", "kernel", "a.ipynb")


class Counted:
    """A group's folder with the counter of kills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "cgroup.controllers").write_text("memory\n")
        (folder / "memory.peak").write_text(f"{LIMIT}\n")
        self.kills(0)

    def kills(self, count: int) -> None:
        (self.folder / "memory.events").write_text(f"oom {count}\noom_kill {count}\n")


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    return Counted(tmp_path / "group")


@pytest.fixture
def files(tmp_path: Path) -> LaunchFiles:
    return LaunchFiles(tmp_path)


@pytest.fixture
def watch(counted: Counted, files: LaunchFiles) -> MemoryWatch:
    return MemoryWatch(Group({"memory": counted.folder}), files, LIMIT)


def _look_until_told(watch: MemoryWatch) -> list[str]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if told := watch.look():
            return [death["what"] for death in told]
    return []


def _myself() -> Part:
    me = processes.find_process(os.getpid())
    assert me is not None
    return Part(me.pid, me.start_time, "kernel", "alive.ipynb")


def test_without_a_kill_nothing_is_told(watch: MemoryWatch, files: LaunchFiles) -> None:
    write_parts(files.parts, [GONE])
    assert watch.look() == []
    assert watch.next_seconds is None
    assert not files.deaths.exists()


def test_a_kernel_that_is_gone_is_told_at_once_with_its_notebook(
    watch: MemoryWatch, counted: Counted, files: LaunchFiles
) -> None:
    write_parts(files.parts, [_myself(), GONE])
    counted.kills(1)
    (death,) = watch.look()
    assert {name: death[name] for name in ("what", "name", "pid", "peak", "limit")} == {
        "what": "kernel",
        "name": "a.ipynb",
        "pid": GONE.pid,
        "peak": LIMIT,
        "limit": LIMIT,
    }
    assert read_json(files.deaths) == {"deaths": [death]}
    assert watch.look() == []


def test_a_kill_of_nobody_known_is_one_of_processes_after_some_patience(
    watch: MemoryWatch, counted: Counted, files: LaunchFiles
) -> None:
    write_parts(files.parts, [_myself()])
    counted.kills(1)
    assert watch.look() == []
    assert watch.next_seconds is not None
    assert _look_until_told(watch) == ["processes"]


def test_a_kernel_that_dies_beside_processes_is_told_too(
    watch: MemoryWatch, counted: Counted, files: LaunchFiles
) -> None:
    write_parts(files.parts, [GONE])
    counted.kills(4)
    assert _look_until_told(watch) == ["kernel"]
    assert _look_until_told(watch) == ["processes"]


def test_the_server_is_told_from_what_was_told_before(watch: MemoryWatch, counted: Counted, files: LaunchFiles) -> None:
    write_parts(files.parts, [GONE])
    counted.kills(1)
    watch.look()
    assert watch.finish(17) is None
    counted.kills(2)
    death = watch.finish(17)
    assert death is not None
    assert (death["what"], death["pid"]) == ("server", 17)


def test_a_limit_that_was_not_reached_is_not_blamed(watch: MemoryWatch, counted: Counted) -> None:
    (counted.folder / "memory.peak").write_text("500\n")
    counted.kills(1)
    death = watch.finish(17)
    assert death is not None
    assert (death["peak"], death["limit"]) == (500, None)


def test_only_the_last_deaths_are_kept(watch: MemoryWatch, counted: Counted, files: LaunchFiles) -> None:
    write_parts(files.parts, [GONE._replace(pid=2**22 + number) for number in range(1, 31)])
    counted.kills(30)
    assert len(watch.look()) == 30
    known = read_json(files.deaths)
    assert known is not None
    assert len(known["deaths"]) == 20


def test_a_watch_without_a_memory_controller_notices_nothing(files: LaunchFiles) -> None:
    watch = MemoryWatch(Group({}), files, LIMIT)
    assert (watch.look(), watch.finish(1), watch.can_tell) == ([], None, False)


@pytest.mark.parametrize("text", ["", "[]", '{"parts": 5}', '{"parts": [1, [2], ["x", 1, 2, 3], [1, "", "x", null]]}'])
def test_parts_that_cannot_be_read_are_none(text: str, files: LaunchFiles) -> None:
    files.parts.write_text(text)
    assert read_parts(files.parts) == []
