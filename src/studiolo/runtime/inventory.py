"""What a session's server knows of its own processes, written down for the shim."""

from pathlib import Path
from typing import Any, cast

from jupyter_server.serverapp import ServerApp

from studiolo.runtime import processes
from studiolo.runtime.kernels import WorkspaceKernels
from studiolo.runtime.parts import Part, write_parts
from studiolo.runtime.terminals import WorkspaceTerminals

_LONGEST_NAME = 256


class Inventory:
    """Writes a server's parts into `file` when they have changed."""

    def __init__(self, server: ServerApp, file: Path) -> None:
        self._server = server
        self._kernels = cast(WorkspaceKernels, server.kernel_manager)
        self._terminals = cast(WorkspaceTerminals, server.web_app.settings["terminal_manager"])
        self._file = file
        self._written: list[Part] = []

    async def write(self) -> None:
        """Look at the server; called after each change in it. Raises OSError."""
        parts = [*await self._list_kernels(), *self._list_terminals()]
        if parts != self._written:
            write_parts(self._file, parts)
            self._written = parts

    async def _list_kernels(self) -> list[Part]:
        sessions = await self._server.session_manager.list_sessions()
        names = {session["kernel"]["id"]: session["path"] for session in sessions}
        found = []
        for kernel_id in self._kernels.list_kernel_ids():
            provisioner = self._kernels.get_kernel(kernel_id).provisioner
            part = _part(getattr(provisioner, "pid", None), "kernel", names.get(kernel_id))
            found += [part] if part else []
        return found

    def _list_terminals(self) -> list[Part]:
        parts = [_part(terminal.ptyproc.pid, "terminal", name) for name, terminal in self._terminals.terminals.items()]
        return [part for part in parts if part]


def _part(pid: Any, what: str, name: str | None) -> Part | None:
    process = processes.find_process(pid) if isinstance(pid, int) else None
    return Part(process.pid, process.start_time, what, name[:_LONGEST_NAME] if name else None) if process else None
