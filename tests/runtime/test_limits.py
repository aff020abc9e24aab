"""Limits of each process, where the machine lets us make no control groups; the others are in test_cgroups."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from studiolo.runtime import limits, processes
from studiolo.runtime.commands import OUTPUT, Command, CommandRequest
from studiolo.runtime.launch import LaunchRequest

MIB = 1024**2
REQUEST = LaunchRequest(
    workload_id="s-1",
    launch=1,
    launch_folder="/l",
    run_folder="/r",
    socket="/s",
    folder="/f",
    start_folder="",
    environment="/e",
    base_url="/",
    grace_seconds=1,
    secret="",
    api_key="",
    platform_url="",
    variables={},
)

FORK = """
import os, signal, sys
from studiolo.runtime import limits
from studiolo.runtime.launch import LaunchRequest
request = LaunchRequest.from_line(sys.stdin.buffer.readline())
os.setuid(54321)
limits.enter(request)
made = []
try:
    for _ in range(200):
        child = os.fork()
        if child == 0:
            signal.pause()
        made.append(child)
except BlockingIOError:
    pass
for child in made:
    os.kill(child, signal.SIGKILL)
print(len(made))
"""


def _under(request: LaunchRequest, program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: limits.enter(request),
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_group_a_process_that_takes_too_much_gets_a_memory_error() -> None:
    program = "try:\n held = b'x' * (200 << 20)\nexcept MemoryError:\n print('no')\nprint('lives')"
    assert _under(replace(REQUEST, memory_limit=100 * MIB), program).stdout == "no\nlives\n"


def test_without_a_group_threads_and_mapped_files_do_not_count_as_memory() -> None:
    program = """
import mmap, threading
shared = mmap.mmap(-1, 500 << 20)
threads = [threading.Thread(target=threading.Event().wait, args=(1,)) for _ in range(5)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("all")
"""
    assert _under(replace(REQUEST, memory_limit=100 * MIB), program).stdout == "all\n"


def test_no_limit_means_none() -> None:
    assert _under(REQUEST, "held = b'x' * (200 << 20); print(len(held))").stdout == f"{200 * MIB}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_without_a_group_an_account_gets_no_more_processes_than_it_may() -> None:
    line = replace(REQUEST, process_limit=20).to_line().decode()
    done = subprocess.run([sys.executable, "-c", FORK], input=line, capture_output=True, text=True, check=True)
    # What ran before is added to the limit: here the process itself.
    assert done.stdout == "20\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="tells what holds for root")
def test_processes_of_root_are_not_said_to_be_limited() -> None:
    assert not limits.can_limit_processes()


async def test_commands_go_before_the_server_when_memory_runs_out(tmp_path: Path) -> None:
    # It looks only when it is told to, since it is offered just after its start.
    request = CommandRequest(["sh", "-c", "read line; cat /proc/self/oom_score_adj"])
    command = await Command.start(request, tmp_path, ["sh"])
    command.input.write(b"now\n")
    score = await command.read(OUTPUT)
    assert await command.wait() == 0
    await command.end()
    command.close()
    assert int(score) == processes.WORK_OOM_SCORE > processes.SERVER_OOM_SCORE
