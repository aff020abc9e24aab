"""Commands over a websocket to the session's own server: `/s/{id}/studiolo/execute`.

The first text frame names the command (CommandRequest). Binary frames follow; their first byte says what they
carry: 0 standard input (from the client), 1 standard output, 2 standard error. Text frames are
`{"resize": {"rows", "columns"}}`, `{"signal": "INT"}`, `{"eof": true}` from the client, and last
`{"exit": CODE}` or `{"error": {"kind", "message", "hint"}}` to it. Source: decision 003.

Neither side holds more than a few pieces of 64 KiB: who is slow makes the other wait. When the socket closes,
the command and all that it started are ended.
"""

import asyncio
import contextlib
import json
import select
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.serverapp import ServerApp
from tornado.routing import PathMatches, Rule
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from studiolo.runtime.commands import Command, CommandRequest, RefusedCommandError, read_size

# Where the session's other parts find the commands that run.
RUNNING = "studiolo_commands"
_INPUT = 0
_LOOK_SECONDS = 1.0
_LAST_OUTPUT_SECONDS = 1.0
_HINT = "Programs are looked for in the workspace's environment first, then on the machine; paths start at its folder."


def serve_commands(server: ServerApp, folder: Path) -> None:
    """Have `server`, once initialised, run commands in `folder`; a client that names none gets the person's shell."""
    running: set[Command] = set()
    shell = server.web_app.settings["terminal_manager"].shell_command
    server.web_app.settings[RUNNING] = running
    arguments = {"folder": folder, "shell": shell, "running": running}
    route = Rule(PathMatches(f"{server.base_url}studiolo/execute$"), Execute, arguments)
    server.web_app.default_router.rules.insert(0, route)


class Execute(WebSocketMixin, JupyterHandler, WebSocketHandler):
    """One command."""

    # Clients ping. One that waits for the command's input to be read, or reads its output slowly, answers late.
    ping_interval = 0
    auth_resource = "terminals"

    def initialize(self, folder: Path, shell: Sequence[str], running: set[Command]) -> None:
        """Called by Tornado for each request."""
        self._folder = folder
        self._shell = shell
        self._running = running
        self._command: Command | None = None
        self._work: asyncio.Task[None] | None = None

    async def get(self, *args: str, **kwargs: str) -> None:
        """Open the websocket for those who may use terminals."""
        user = self.current_user
        if not user or not await ensure_async(self.authorizer.is_authorized(self, user, "execute", self.auth_resource)):
            raise HTTPError(403)
        await super().get(*args, **kwargs)

    async def on_message(self, message: str | bytes) -> None:
        """Called with each frame; the next is read when this returns."""
        try:
            if self._command is None:
                await self._start(message)
            elif isinstance(message, bytes):
                await self._pass_on(message)
            else:
                self._obey(self._command, json.loads(message))
        except RefusedCommandError as exc:
            await self._refuse("not-found", str(exc))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            await self._refuse("invalid", f"A frame cannot be understood: {exc}")

    def on_close(self) -> None:
        """Called when the client or the connection has gone."""
        if self._work is not None:
            self._work.cancel()

    async def _start(self, message: str | bytes) -> None:
        self._command = await Command.start(CommandRequest.from_frame(message), self._folder, self._shell)
        self._work = asyncio.create_task(self._see_through(self._command))
        if self._is_hung_up():
            self.on_close()

    async def _see_through(self, command: Command) -> None:
        """Send what the command writes, then how it ended; whatever happens, end what is left of it."""
        self._running.add(command)
        # The session reports what runs in it with its terminals.
        self.settings["terminal_manager"].on_change()
        try:
            async with asyncio.TaskGroup() as group:
                readers = [group.create_task(self._send_output(command, stream)) for stream in command.outputs]
                code = await command.wait()
                # What it leaves behind may hold its output open.
                await asyncio.wait(readers, timeout=_LAST_OUTPUT_SECONDS)
                await command.end()
            await self.write_message(json.dumps({"exit": code}))
            self.close(1000)
        except* WebSocketClosedError:
            pass
        finally:
            # From here on nothing must interrupt the clearing up.
            self._work = None
            self._running.discard(command)
            self.settings["terminal_manager"].on_change()
            await command.end()
            command.close()

    async def _send_output(self, command: Command, stream: int) -> None:
        while data := await command.read(stream):
            await self.write_message(bytes((stream,)) + data, binary=True)

    async def _pass_on(self, message: bytes) -> None:
        assert self._command is not None
        if not message or message[0] != _INPUT:
            raise ValueError("a binary frame begins with 0.")
        writer = self._command.input
        if writer.is_closing():
            return
        writer.write(message[1:])
        draining = asyncio.ensure_future(writer.drain())
        # Nothing is read from the socket meanwhile, so its end must be looked for.
        while not (await asyncio.wait({draining}, timeout=_LOOK_SECONDS))[0]:
            if self._is_hung_up():
                draining.cancel()
                self.on_close()
                return
        # A command need not read what it is given.
        with contextlib.suppress(ConnectionError):
            draining.result()

    def _is_hung_up(self) -> bool:
        if self.ws_connection is None or self.ws_connection.is_closing():
            return True
        stream = self.ws_connection.stream
        if stream is None or stream.closed():
            return True
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLHUP)
        return bool(poll.poll(0))

    def _obey(self, command: Command, order: Mapping[str, Any]) -> None:
        if "resize" in order:
            command.resize(read_size(order["resize"]))
        if "signal" in order:
            command.signal(str(order["signal"]))
        if order.get("eof"):
            command.end_input()

    async def _refuse(self, kind: str, message: str) -> None:
        with contextlib.suppress(WebSocketClosedError):
            await self.write_message(
                json.dumps(
                    {"error": {"kind": kind, "message": message, "hint": _HINT if kind == "not-found" else None}}
                )
            )
        self.close(1008)
