"""Processes are told apart by more than their id."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from studiolo.runtime import processes


def test_this_process_is_alive_since_its_start_time() -> None:
    me = processes.find_process(os.getpid())
    assert me is not None
    assert me.parent == os.getppid()
    assert processes.is_alive(me.pid, me.start_time)
    assert not processes.is_alive(me.pid, me.start_time + "0")


def test_a_zombie_is_dead() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert processes.find_process(pid) is None
    os.waitpid(pid, 0)


def test_a_name_full_of_parentheses_confuses_nobody() -> None:
    program = "import studiolo.runtime.processes as p; p.name_process(') R (1'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = processes.find_process(child.pid)
        assert found is not None
        assert found.parent == os.getpid()
        child.communicate("\n")


def test_marked_processes_and_descendants_are_found_and_signalled() -> None:
    with subprocess.Popen(["sleep", "60"], env={"STUDIOLO_LAUNCH": "s-marked.1"}) as child:
        marked = processes.list_marked("STUDIOLO_LAUNCH", "s-marked.1")
        assert [process.pid for process in marked] == [child.pid]
        assert child.pid in {process.pid for process in processes.list_descendants(os.getpid())}
        assert not processes.list_marked("STUDIOLO_LAUNCH", "s-marked")
        processes.send_signal([marked[0]._replace(start_time="1")], signal.SIGKILL)
        assert child.poll() is None
        processes.send_signal(marked, signal.SIGKILL)
        assert child.wait(timeout=5) == -signal.SIGKILL


def test_the_boot_has_an_id_that_stays() -> None:
    assert processes.boot_id()
    assert processes.boot_id() == processes.boot_id()


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="needs ps")
def test_without_proc_ps_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = processes.find_process(os.getpid())
    assert expected is not None
    monkeypatch.setattr(processes, "_LINUX", False)
    found = processes.find_process(os.getpid())
    assert found is not None
    assert found[:2] == expected[:2]
    assert processes.is_alive(found.pid, found.start_time)
    assert processes.find_process(2**22 + 1) is None
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in {process.pid for process in processes.list_descendants(os.getpid())}
        child.kill()
