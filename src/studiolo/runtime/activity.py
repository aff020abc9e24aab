"""Session extension: tells the platform what the session is doing, and the shim of which processes it consists.

POST {platform}/api/v1/sessions/{id}/report with {kernels, busy_kernels, terminals, busy_terminals, connections,
last_active_at, notebook, notebook_at, kernels_survive, environment_note}: about a second after something changed, at
least once a minute.
The kernels are those of the server itself; people's are at their host, which reports them.
"""

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from jupyter_events import EventLogger
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPError

from studiolo.runtime.execute import RUNNING
from studiolo.runtime.inventory import Inventory
from studiolo.runtime.kernels import WorkspaceKernels
from studiolo.runtime.launch import LaunchFiles, LaunchRequest
from studiolo.runtime.platform import Platform
from studiolo.runtime.terminals import WorkspaceTerminals

_CONTENTS_EVENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"
_DEBOUNCE_SECONDS = 1.0
_LONGEST_SECONDS = 60.0
# Terminals do not tell when their foreground program changes, so they are looked at while there are any.
_TERMINALS_SECONDS = 5.0


def start(server: ServerApp, request: LaunchRequest) -> None:
    """Begin to report the activity of `server`; without a platform's address or key only the shim is told."""
    server.io_loop.add_callback(Reporter(server, request).run)


class Reporter:
    """Watches the server and sends reports until the event loop ends."""

    def __init__(self, server: ServerApp, request: LaunchRequest) -> None:
        self._server = server
        self._kernels = cast(WorkspaceKernels, server.kernel_manager)
        self._terminals = cast(WorkspaceTerminals, server.web_app.settings["terminal_manager"])
        self._inventory = Inventory(server, LaunchFiles(Path(request.launch_folder)).parts)
        self._platform = Platform(request)
        # They have a host, of this machine (whose folder nobody with an account may enter) or beside this server.
        self._kernels_survive = bool(request.account or request.host_address) or request.grounds_file.exists()
        self._environment_note = request.environment_note
        self._changed = asyncio.Event()
        self._last_kernel: str | None = None
        self._notebook: str | None = None
        self._saved_at: datetime | None = None

    async def run(self) -> None:
        """Report at once, then after each change; never ends by itself."""
        self._kernels.on_change = self._on_kernel_change
        self._terminals.on_change = self._changed.set
        events = cast(EventLogger, self._server.event_logger)
        events.add_listener(schema_id=_CONTENTS_EVENTS, listener=self._on_contents_event)
        clock = asyncio.get_running_loop().time
        activity: dict[str, Any] = {}
        sent: dict[str, Any] = {}
        sent_at = 0.0
        while True:
            try:
                await self._inventory.write()
                activity = await self._observe()
            except Exception:
                # A race with something that ends just now; the next look sees it gone.
                self._server.log.warning("cannot tell the session's activity", exc_info=True)
            if activity != sent or clock() - sent_at >= _LONGEST_SECONDS:
                await self._send(activity)
                sent, sent_at = activity, clock()
            pause = _LONGEST_SECONDS - (clock() - sent_at)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, _TERMINALS_SECONDS) if activity.get("terminals") else pause):
                    await self._changed.wait()
                await asyncio.sleep(_DEBOUNCE_SECONDS)
            self._changed.clear()

    async def _observe(self) -> dict[str, Any]:
        kernels = self._kernels.list_kernels()  # type: ignore[no-untyped-call]
        terminals: list[Any] = list(self._terminals.terminals.values())
        # A command that somebody runs from outside is a terminal, and busy unless it is a shell at rest.
        commands = self._server.web_app.settings.get(RUNNING, ())
        times = [kernel["last_activity"] for kernel in kernels]
        times += [terminal.last_activity.isoformat() for terminal in terminals]
        times += [self._saved_at.isoformat()] if self._saved_at else []
        return {
            "kernels": len(kernels),
            "busy_kernels": sum(kernel["execution_state"] == "busy" for kernel in kernels),
            "terminals": len(terminals) + len(commands),
            "busy_terminals": sum(_is_busy(terminal.ptyproc) for terminal in terminals)
            + sum(command.is_busy() for command in commands),
            "connections": sum(kernel["connections"] for kernel in kernels),
            "last_active_at": max(map(datetime.fromisoformat, times)).isoformat() if times else None,
            "notebook": await self._find_notebook(),
            "notebook_at": self._saved_at.isoformat() if self._saved_at else None,
            "kernels_survive": self._kernels_survive,
            "environment_note": self._environment_note,
        }

    async def _find_notebook(self) -> str | None:
        """Return the path of the notebook last run or saved."""
        if self._last_kernel is not None:
            for session in await self._server.session_manager.list_sessions():
                if session["kernel"]["id"] == self._last_kernel and session["type"] == "notebook":
                    self._notebook = session["path"]
            self._last_kernel = None
        return self._notebook

    async def _send(self, activity: dict[str, Any]) -> None:
        if not self._platform.is_known:
            return
        # The platform may be restarting; the next report says all that this one did.
        with contextlib.suppress(HTTPError, OSError, ValueError):
            await self._platform.post("report", activity)

    def _on_kernel_change(self, busy_kernel: str | None) -> None:
        self._last_kernel = busy_kernel or self._last_kernel
        self._changed.set()

    async def _on_contents_event(self, logger: object, schema_id: str, data: dict[str, Any]) -> None:
        if data.get("action") == "save":
            self._saved_at = datetime.now(UTC)
            if str(data.get("path", "")).endswith(".ipynb"):
                self._notebook = data["path"].strip("/")
            self._changed.set()


def _is_busy(terminal: Any) -> bool:
    """Tell whether something other than the shell itself has the terminal's foreground."""
    try:
        return bool(os.tcgetpgrp(terminal.fd) != os.getpgid(terminal.pid))
    except OSError:
        return False
