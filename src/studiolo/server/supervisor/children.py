"""Child processes of the supervisor, collected as they end; orphans below it are collected too."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from studiolo.kit.logs import open_log
from studiolo.kit.processes import become_subreaper, dies_with_parent, reap


class Child:
    """One started process, leader of a group of its own. `exited` holds the exit code (negative: signal)."""

    def __init__(self, process: subprocess.Popen[bytes], exited: asyncio.Future[int]) -> None:
        self.pid = process.pid
        self.exited = exited
        self.process = process

    async def end(self, grace_seconds: float) -> None:
        """Ask it to end and, after the grace, kill it and its group. Success if it has ended."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            await asyncio.wait([self.exited], timeout=grace_seconds)
        self.kill()
        await self.exited

    def kill(self) -> None:
        """Kill it and what remains of its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class Children:
    """All children of this process; nobody else in it may start or wait for any meanwhile. A context manager."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        become_subreaper()
        self._loop.add_signal_handler(signal.SIGCHLD, self._collect)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_signal_handler(signal.SIGCHLD)

    def start(self, argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> Child:
        """Start a process that dies with this one. Raises OSError."""
        with open_log(log) as output:
            process = subprocess.Popen(
                argv,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C must not reach the parts: they are stopped in order.
                start_new_session=True,
                preexec_fn=dies_with_parent(),
            )
        child = Child(process, self._loop.create_future())
        self._children[child.pid] = child
        self._collect()
        return child

    def kill_all(self) -> None:
        """Kill every child at once."""
        for child in list(self._children.values()):
            child.kill()

    def _collect(self) -> None:
        for pid, code in reap(list(self._children)).items():
            child = self._children.pop(pid, None)
            if child is not None:
                child.process.returncode = code
                child.exited.set_result(code)
