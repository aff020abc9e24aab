"""Commands in a running session, over a websocket to the session's own server.

The first text frame names the command: `{"argv", "cwd", "env", "tty"}`. Binary frames follow; their first byte says
what they carry: 0 standard input, 1 standard output, 2 standard error. Text frames are orders to the command
(`{"signal": "INT"}`, `{"resize": {"rows", "columns"}}`, `{"eof": true}`) and, last, its end (`{"exit": CODE}`). A
command ends when its websocket closes. Source: decision 003.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from studiolo.contract.errors import KINDS, Conflict, NotFound, StudioloError, Unavailable
from studiolo.contract.models import Session, SessionState
from studiolo.sdk.address import is_encrypted, is_loopback
from studiolo.sdk.problems import error_of
from studiolo.sdk.transport import Transport, trust

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

INPUT, OUTPUT, ERROR = 0, 1, 2
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Command:
    """What to run; an empty `argv` is the person's shell there. `cwd` None: the workspace's folder.

    `terminal`: rows and columns of one, None for pipes. `password`: the session's, where it has one.
    """

    argv: tuple[str, ...]
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    terminal: tuple[int, int] | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Executed:
    """What a command did."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Running:
    """A command that runs. Iterate to get `(OUTPUT or ERROR, bytes)` until it has ended; then `exit_code` is set."""

    def __init__(self, socket: "ClientConnection", session: Session) -> None:
        self._socket = socket
        self._session = session
        self.exit_code: int | None = None

    async def write(self, data: bytes) -> None:
        """Send standard input."""
        for start in range(0, len(data), _CHUNK_BYTES):
            await self._send(bytes((INPUT,)) + data[start : start + _CHUNK_BYTES])

    async def end_input(self) -> None:
        """Close standard input."""
        await self._order(eof=True)

    async def signal(self, name: str) -> None:
        """Send a signal, for example `INT`, to the command and what it started."""
        await self._order(signal=name)

    async def resize(self, rows: int, columns: int) -> None:
        """Tell the command's terminal its new size."""
        await self._order(resize={"rows": rows, "columns": columns})

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        from websockets.exceptions import ConnectionClosed

        while self.exit_code is None:
            try:
                frame = await self._socket.recv()
            except ConnectionClosed as exc:
                raise _cut(self._session, exc.rcvd.reason if exc.rcvd else "") from exc
            if isinstance(frame, bytes):
                yield frame[0], frame[1:]
            else:
                self._note(json.loads(frame))

    def _note(self, told: dict[str, Any]) -> None:
        if problem := told.get("error"):
            raise _refused(problem)
        if "exit" in told:
            self.exit_code = int(told["exit"])

    async def _order(self, **order: Any) -> None:
        await self._send(json.dumps(order))

    async def _send(self, frame: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        # A command that has ended reads no more; how it ended is told to the one who iterates.
        with suppress(ConnectionClosed):
            await self._socket.send(frame)


@asynccontextmanager
async def attach(transport: Transport, session: Session, command: Command) -> AsyncIterator[Running]:
    """Run a command in a session; it ends with the context.

    Raises Conflict (`session-not-running`), NotFound (`command-failed`) if it cannot be started, Unavailable
    (`session-unreachable`).
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus

    if session.state is not SessionState.RUNNING:
        raise Conflict(
            "session-not-running",
            f"Session {session.name} is {session.state}.",
            hint=f"Start it: studiolo start {session.id}",
        )
    url = transport.credentials.url
    # The path alone is taken over: the key goes to no other address than its own.
    headers = {"Authorization": f"Bearer {transport.credentials.key or ''}"}
    if command.password is not None:
        headers["Studiolo-Session-Password"] = command.password
    address = f"ws{url.removeprefix('http')}{urlsplit(session.api_url).path}studiolo/execute"
    try:
        socket = await connect(
            address,
            additional_headers=headers,
            ssl=trust(transport.credentials) if is_encrypted(url) else None,
            proxy=None if is_loopback(url) else True,
            # The session sends pieces of 64 KiB, and answers a ping late while its command is busy.
            ping_timeout=None,
            compression=None,
        )
    except InvalidStatus as exc:
        raise _not_entered(session, exc.response.status_code, exc.response.body) from exc
    except (OSError, InvalidHandshake, TimeoutError) as exc:
        raise _cut(session, "") from exc
    async with socket:
        named: dict[str, Any] = {"argv": list(command.argv), "cwd": command.cwd, "env": dict(command.env), "tty": None}
        if command.terminal is not None:
            named["tty"] = {"rows": command.terminal[0], "columns": command.terminal[1]}
        await socket.send(json.dumps(named))
        yield Running(socket, session)


async def run_to_end(running: Running, given: bytes) -> Executed:
    """Send all of the input, collect all of the output, and return when the command has ended."""
    written: dict[int, bytearray] = {OUTPUT: bytearray(), ERROR: bytearray()}
    async with anyio.create_task_group() as tasks:

        async def feed() -> None:
            await running.write(given)
            await running.end_input()

        tasks.start_soon(feed)
        async for stream, data in running:
            written[stream] += data
        # A command may end before it has read everything.
        tasks.cancel_scope.cancel()
    assert running.exit_code is not None
    return Executed(running.exit_code, bytes(written[OUTPUT]), bytes(written[ERROR]))


def _refused(problem: Any) -> StudioloError:
    """Return the error for a command that could not be started: a problem's members, or a sentence."""
    told = problem if isinstance(problem, dict) else {"message": str(problem)}
    cls = KINDS.get(str(told.get("kind")), NotFound)
    return cls("command-failed", str(told.get("message") or told.get("detail")), hint=told.get("hint"))


def _not_entered(session: Session, status: int, body: bytes | bytearray) -> StudioloError:
    with suppress(ValueError, AttributeError):
        # What the front door refuses, it refuses with a problem object.
        if "code" in (problem := json.loads(body)):
            return error_of(problem, status)
    if status in (401, 403):
        return KINDS["denied"](
            "denied",
            f"You may not run commands in session {session.name}.",
            hint="That takes the role editor, and a key with the scope sessions:write.",
        )
    return _cut(session, f"status {status}")


def _cut(session: Session, why: str) -> Unavailable:
    return Unavailable(
        "session-unreachable",
        f"The connection to session {session.name} broke{f' ({why})' if why else ''}; what ran in it was ended.",
        hint=f"See whether it runs: studiolo status {session.id}",
    )
