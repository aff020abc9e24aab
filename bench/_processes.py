"""Processes that a benchmark starts: private environment, output to a file, certain end; and what they hold."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import psutil

_STOP_SECONDS = 15.0


@contextlib.contextmanager
def running(
    argv: Iterable[str | Path], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[psutil.Popen]:
    """Run a program for the length of a block; then end it and all that descends from it."""
    with log.open("ab") as output:
        process = psutil.Popen(
            [str(part) for part in argv],
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: psutil.Popen) -> None:
    """Ask a process to end, wait, then kill what is left of it and its descendants."""
    family = [process, *descendants(process.pid)]
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, timeout=_STOP_SECONDS)


def descendants(pid: int) -> list[psutil.Process]:
    """Return children, grandchildren and so on that live now."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def pss_bytes(pids: Iterable[int]) -> int:
    """Return the proportional set size of processes: their own pages, and their share of shared ones."""
    return sum(_rollup_bytes(pid, "Pss:") for pid in pids)


def uss_bytes(pids: Iterable[int]) -> int:
    """Return the unique set size of processes: what would be free if they ended."""
    return sum(_rollup_bytes(pid, "Private_") for pid in pids)


def _rollup_bytes(pid: int, name: str) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
    return 0


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float = 60, pause: float = 0.05) -> None:
    """Look until something is so. Ends the benchmark with `what` if it does not come in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"error: {what} did not come within {seconds:.0f} s.")
        time.sleep(pause)


def clean_environment(**extra: str) -> dict[str, str]:
    """Return this process's variables without those that would steer a platform or Jupyter, plus `extra`."""
    foreign = ("STUDIOLO_", "JUPYTER", "IPYTHON", "NOTIFY_SOCKET", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | extra


def end_by_exception() -> None:
    """Turn SIGTERM and SIGHUP into an exit that runs the clean-up of every block."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
