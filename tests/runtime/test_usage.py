"""Usage summed up over the process table."""

import os
import subprocess
import sys
from pathlib import Path

from studiolo.runtime.usage import ProcessTable

MIB = 1024**2
# A parent that has a child which holds 60 MiB, three threads, and has used some processor time.
PROGRAM = """
import subprocess, sys, time
inner = '''
import threading, time
held = b"x" * (60 << 20)
for _ in range(2):
    threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()
while time.process_time() < 0.3:
    pass
print(flush=True)
input()
'''
child = subprocess.Popen([sys.executable, "-c", inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(flush=True)
input()
child.communicate(b"\\n")
"""


def test_all_that_descends_from_a_process_is_summed_up() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shim:
        assert shim.stdout is not None
        shim.stdout.readline()
        sums = ProcessTable().sum_below(shim.pid)
        shim.communicate(b"\n")
    assert sums is not None
    assert sums.tasks == 3
    assert 60 * MIB < sums.memory < 90 * MIB
    assert sums.cpu_seconds >= 0.3


def test_what_is_gone_or_unreadable_has_no_sums(tmp_path: Path) -> None:
    assert ProcessTable(tmp_path).sum_below(os.getpid()) is None
    assert ProcessTable(tmp_path / "nowhere").sum_below(1) is None
    assert ProcessTable().sum_below(2**22 + 1) is None


def test_one_reading_of_the_table_serves_all_that_ask_in_a_row() -> None:
    table = ProcessTable()
    assert table.sum_below(os.getpid()) is not None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as late:
        assert table.sum_below(late.pid) is None
        late.communicate(b"\n")
