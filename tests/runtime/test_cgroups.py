"""Where control groups can be made, how one holds a process, and that nothing is left of it."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.runtime import cgroups
from studiolo.runtime.cgroups import Hierarchy
from studiolo.runtime.groups import Group

NAME = f"studiolo-test-{os.getpid()}"
MIB = 1024**2


@pytest.fixture(scope="module")
def places() -> dict[str, Path]:
    return cgroups.find_places(NAME)


@pytest.fixture
def group(places: dict[str, Path]) -> Iterator[Group]:
    """A real group of this machine; without one the reason is told."""
    if not {"memory", "pids"} <= places.keys():
        pytest.skip(f"control groups cannot be made here (usable: {sorted(places) or 'none'})")
    group = Group.of(places, "s-1.1")
    yield group
    assert group.end()


def run_in(group: Group, program: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", program], preexec_fn=group.enter, stdout=subprocess.PIPE, text=True)


def test_a_process_knows_the_limit_of_the_group_that_it_was_put_into(group: Group) -> None:
    group.make(cpu=None, memory=40 * MIB, processes=None)
    program = "from studiolo.runtime.groups import Group; print(Group.around().read_memory_limit())"
    with run_in(group, program) as child:
        assert child.communicate()[0].strip() == str(40 * MIB)


def test_a_group_kills_what_takes_more_memory_than_it_may_and_counts_it(group: Group) -> None:
    group.make(cpu=None, memory=40 * MIB, processes=None)
    with run_in(group, "held = b'x' * (200 << 20)") as process:
        assert process.wait(20) == -9
    assert group.count_kills() == 1
    assert group.read_memory_peak() == 40 * MIB


def test_a_group_counts_memory_that_is_used_and_not_files_that_could_be_dropped(group: Group, tmp_path: Path) -> None:
    group.make(cpu=None, memory=None, processes=None)
    program = f"held = bytearray(b'x' * (50 << 20)); open({str(tmp_path / 'f')!r}, 'wb').write(held); print(flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], preexec_fn=group.enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        used, peak = group.read_memory(), group.read_memory_peak()
        process.communicate(b"\n")
    assert used is not None
    assert 50 * MIB < used < 75 * MIB
    assert peak is not None
    assert peak > 100 * MIB


def test_a_group_gives_no_more_processes_than_it_may(group: Group) -> None:
    group.make(cpu=None, memory=None, processes=20)
    program = """
import os
made = 0
try:
    for _ in range(500):
        if os.fork() == 0:
            os.read(0, 1)
            os._exit(0)
        made += 1
except BlockingIOError:
    print(made)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], preexec_fn=group.enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == 19
        assert group.count_processes() == 20
        process.communicate(b"x" * 20)


def test_a_group_throttles_the_processor(group: Group) -> None:
    if "cpu" not in group.folders:
        pytest.skip("the cpu controller cannot be used here")
    group.make(cpu=0.2, memory=None, processes=None)
    with run_in(group, "import time\nwhile time.process_time() < 0.3: pass") as process:
        assert process.wait(30) == 0
    stat = dict(line.split() for line in (group.folders["cpu"] / "cpu.stat").read_text().splitlines())
    assert int(stat["nr_throttled"]) > 0
    spent = group.read_cpu_seconds()
    assert spent is not None
    assert spent >= 0.3


def test_the_end_of_a_group_is_the_end_of_all_in_it(group: Group) -> None:
    group.make(cpu=None, memory=None, processes=None)
    program = (
        "import os, signal; signal.signal(15, signal.SIG_IGN); os.fork(); os.fork(); print(flush=True); signal.pause()"
    )
    with run_in(group, program) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert group.end()
    assert not any(folder.parent.exists() for folder in group.folders.values())
    assert group.end()


def test_an_absent_group_answers_nothing() -> None:
    gone = Group.of(dict.fromkeys(cgroups.CONTROLLERS, "/nonexistent"), "x")
    answers = (gone.read_memory(), gone.read_memory_peak(), gone.read_cpu_seconds(), gone.count_kills())
    assert answers == (None, None, None, None)
    assert Group({}).count_processes() is None
    assert Group({}).end()


@pytest.fixture
def unified() -> Iterator[Group]:
    """A real group of version 2, with whatever controllers."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    mount = next((Path(line.split()[4]) for line in mounts if " - cgroup2 " in line), None)
    if mount is None or not os.access(mount, os.W_OK) or os.geteuid() != 0:
        pytest.skip("no hierarchy of version 2 can be written here")
    group = Group({"": mount / NAME / "s-1.1"})
    yield group
    assert group.end()


def test_a_process_moves_into_a_real_group_of_version_2_and_ends_with_it(unified: Group) -> None:
    unified.make(cpu=None, memory=None, processes=None)
    with run_in(unified, "import signal; print(flush=True); signal.pause()") as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert unified.list_pids() == [process.pid]
        assert unified.end()
    assert not unified.folders[""].parent.exists()


def test_events_of_a_real_group_of_version_2_wake_who_waits_for_them(unified: Group) -> None:
    unified.make(cpu=None, memory=None, processes=None)
    with run_in(unified, "import signal; print(flush=True); signal.pause()") as process:
        assert process.stdout is not None
        process.stdout.readline()
        with (unified.folders[""] / "cgroup.events").open() as events:
            assert "populated 1" in events.read()
            process.kill()
            # As memory.events does, which this machine may have in version 1 only.
            assert select.select([], [], [events], 10)[2]


@pytest.fixture
def second(tmp_path: Path) -> Group:
    """A folder with the files of a group of version 2, as the kernel makes them."""
    folder = tmp_path / "studiolo-x" / "s-1.1"
    folder.mkdir(parents=True)
    for place in (tmp_path, tmp_path / "studiolo-x", folder):
        (place / "cgroup.controllers").write_text("cpu memory pids\n")
        (place / "cgroup.subtree_control").write_text("")
    for name, text in {
        "memory.current": "300\n",
        "memory.stat": "anon 100\ninactive_file 120\n",
        "memory.peak": "400\n",
        "memory.swap.max": "max\n",
        "memory.events": "low 0\noom 2\noom_kill 2\n",
        "cpu.stat": "usage_usec 1500000\nnr_throttled 0\n",
        "pids.current": "7\n",
    }.items():
        (folder / name).write_text(text)
    return Group(dict.fromkeys(("cpu", "memory", "pids"), folder))


def test_version_2_is_limited_by_its_own_files(second: Group) -> None:
    second.make(cpu=1.5, memory=512 * MIB, processes=100)
    folder = second.folders["memory"]
    written = {name: (folder / name).read_text() for name in ("cpu.max", "memory.max", "memory.swap.max", "pids.max")}
    assert written == {
        "cpu.max": "150000 100000",
        "memory.max": str(512 * MIB),
        "memory.swap.max": "0",
        "pids.max": "100",
    }
    # Each controller is asked for alone; in a plain file the last one stays.
    assert (folder.parent / "cgroup.subtree_control").read_text() in {"+cpu", "+memory", "+pids"}


def test_version_2_is_measured_by_its_own_files(second: Group) -> None:
    assert (second.read_memory(), second.read_memory_peak(), second.count_kills()) == (180, 400, 2)
    assert (second.read_cpu_seconds(), second.count_processes()) == (1.5, 7)


MOUNTS = """
30 1 0:1 / {root}/pids rw - cgroup cgroup rw,pids
31 1 0:2 / {root}/unified rw shared:5 - cgroup2 cgroup2 rw,nsdelegate
32 1 0:3 / {root}/cpu rw - cgroup cgroup rw,cpu,cpuacct
33 1 0:4 / / rw - ext4 /dev/vda rw
"""


def test_hierarchies_of_both_versions_are_told_from_the_process_files(tmp_path: Path) -> None:
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").write_text("memory hugetlb\n")
    (tmp_path / "mountinfo").write_text(MOUNTS.strip().format(root=tmp_path))
    (tmp_path / "cgroup").write_text("3:cpu,cpuacct:/a\n2:pids:/\n0::/user.slice/x.scope\n")
    assert cgroups.list_hierarchies(tmp_path) == [
        Hierarchy(1, ("pids",), tmp_path / "pids", tmp_path / "pids"),
        Hierarchy(1, ("cpu", "cpuacct"), tmp_path / "cpu", tmp_path / "cpu" / "a"),
        Hierarchy(2, ("memory",), tmp_path / "unified", tmp_path / "unified/user.slice/x.scope"),
    ]


def test_in_version_2_groups_around_our_own_are_tried_as_far_as_the_first_that_is_limited(tmp_path: Path) -> None:
    own = tmp_path / "user.slice" / "user@1000.service" / "app.slice" / "x.scope"
    own.mkdir(parents=True)
    for folder in (own, own.parent, own.parent.parent):
        (folder / "memory.max").write_text("max\n")
        (folder / "cpu.max").write_text("max 100000\n")
    hierarchy = Hierarchy(2, ("memory",), tmp_path, own)
    folders = list(cgroups.list_ancestors(hierarchy))
    assert folders == [own, own.parent, own.parent.parent, tmp_path / "user.slice", tmp_path]
    (own.parent / "memory.max").write_text("1073741824\n")
    assert list(cgroups.list_ancestors(hierarchy)) == [own, own.parent]


def test_a_machine_without_control_groups_has_no_place_for_them(tmp_path: Path) -> None:
    assert cgroups.find_places(NAME, tmp_path) == {}


def test_own_limits_are_the_smallest_around_us(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    (tmp_path / "mountinfo").write_text(f"31 1 0:2 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("1000\n")
    (tmp_path / "a" / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("2000\n")
    assert cgroups.own_memory_limit(tmp_path) == 1000
    assert cgroups.own_cpu_limit(tmp_path) == 0.5
