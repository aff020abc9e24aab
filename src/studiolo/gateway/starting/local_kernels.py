"""Kernels of this machine as their files and processes tell of them: alive or ended, whoever started them."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from studiolo.gateway.base import KernelExit
from studiolo.kit import logs
from studiolo.runtime import processes
from studiolo.runtime.groups import Group
from studiolo.runtime.kept import Kept
from studiolo.runtime.kernelrequest import MARKER, KernelFiles, RunFiles
from studiolo.runtime.launch import read_json

_POLL_SECONDS = 0.5


class KeptKernel(Kept):
    """One kernel as it lies on disk."""

    child = "kernel"

    def __init__(self, kernel_id: str, folder: Path, run_folder: Path) -> None:
        files = KernelFiles(folder)
        super().__init__(files, run_folder)
        self.spool_folder = files.spool
        self.kernel_id = kernel_id
        self.run_files = RunFiles(run_folder)

    def group(self) -> Group:
        """See Kept.group: a session's group is not ended with one of its kernels."""
        known = read_json(self.files.shim) or {}
        return Group.of(known.get("groups", {}), known["group"]) if known.get("owns_group") else Group({})

    def list_marked(self) -> list[processes.Process]:
        """See Kept.list_marked."""
        return processes.list_marked(MARKER, self.kernel_id)

    def clear_up(self) -> None:
        """See Kept.clear_up."""
        shutil.rmtree(self.run_folder, ignore_errors=True)
        if register := (read_json(self.files.shim) or {}).get("register"):
            with contextlib.suppress(OSError):
                Path(register).unlink(missing_ok=True)

    def explain_vanished(self, *, same_boot: bool) -> str:
        """See Kept.explain_vanished."""
        if not same_boot:
            return "The machine was restarted while the kernel ran."
        return "The process that looked after the kernel was killed, and the kernel ended with it. Variables are gone."


class LocalProcess:
    """Implements Process: a kernel that lives, or did when this was made."""

    def __init__(self, kept: KeptKernel, pid: int, connection: Mapping[str, Any], spool: Path | None) -> None:
        self.kernel_id = kept.kernel_id
        self.connection = connection
        self.spool = spool
        self.pid = pid
        self._kept = kept
        self._exit: KernelExit | None = None

    async def interrupt(self) -> None:
        """See Process.interrupt."""
        if (kernel := self._kept.find_child()) is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(kernel.pid, signal.SIGINT)

    async def stop(self, *, grace_seconds: float) -> None:
        """See Process.stop. Asked again long after its grace, all of the kernel is killed from outside."""
        if self._exit is None and not self._kept.ask_to_stop(grace_seconds):
            await asyncio.to_thread(self._kept.kill)

    async def wait(self) -> KernelExit:
        """See Process.wait."""
        while self._exit is None:
            await self._wait_for_shim()
            if not self._kept.is_held():
                await asyncio.to_thread(self._kept.bury)
            if (record := self._kept.read_exit()) is not None:
                self._exit = read_exit(record)
        return self._exit

    def tail(self, lines: int) -> list[str]:
        """See Process.tail."""
        return logs.tail(self._kept.files.log, lines)

    async def _wait_for_shim(self) -> None:
        descriptor = self._kept.open_pidfd()
        if descriptor is None:
            if self._kept.is_held():
                await asyncio.sleep(_POLL_SECONDS)
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)


def find_process(
    kept: KeptKernel, *, pid: int | None = None, connection: Mapping[str, Any] | None = None
) -> LocalProcess:
    """Return the kernel's process: `pid` and `connection`, or as its files name them."""
    pid = pid or (read_json(kept.files.shim) or {}).get("kernel_pid", 0)
    connection = connection or read_json(kept.run_files.connection) or {}
    spool = kept.run_files.spool
    return LocalProcess(kept, pid, connection, spool if spool.exists() else None)


def read_exit(record: Mapping[str, Any]) -> KernelExit:
    """Return what `exit.json` says."""
    return KernelExit(
        reason=record["reason"],
        message=record["message"],
        at=datetime.fromisoformat(record["at"]),
        code=record.get("code"),
        signal=record.get("signal"),
    )
