"""A kernel behind the bridge, served on a port of this machine, and clients that speak its three protocols."""

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from studiolo.gateway.base import Caller, KernelPlan, Process, Right
from studiolo.gateway.bridge.kernel import Kernel
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.messages.frames import (
    NUMBERED_PROTOCOL,
    V1_PROTOCOL,
    decode_json,
    decode_numbered,
    decode_v1,
    encode_json,
    encode_v1,
)
from studiolo.gateway.messages.wire import build, dump
from studiolo.gateway.starting.launching import LocalLauncher, LocalProcess

SECONDS = 30.0
PROTOCOLS = (None, V1_PROTOCOL, NUMBERED_PROTOCOL)


def texts(messages: Sequence["Message"], name: str = "stdout") -> str:
    """Return all that was written to a stream."""
    return "".join(m.content["text"] for m in messages if m.type == "stream" and m.content["name"] == name)


def types(messages: Sequence["Message"]) -> list[str]:
    return [message.type for message in messages]


@dataclass
class Message:
    """A message as a test looks at it."""

    number: int
    channel: str
    header: dict[str, Any]
    parent: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    buffers: list[bytes]

    @property
    def type(self) -> str:
        return str(self.header["msg_type"])

    @classmethod
    def of(cls, number: int, channel: str, parts: Sequence[bytes]) -> Self:
        header, parent, metadata, content = (json.loads(part) for part in parts[:4])
        return cls(number, channel, header, parent, metadata, content, list(parts[4:]))


@dataclass
class Peer:
    """A client's end of a websocket."""

    socket: aiohttp.ClientWebSocketResponse
    session: str
    seen: list[Message] = field(default_factory=list)

    async def send(
        self,
        msg_type: str,
        content: dict[str, Any] | None = None,
        *,
        channel: str = "shell",
        subshell: str | None = None,
        msg_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        parent_header: bytes = b"{}",
        buffers: Sequence[bytes] = (),
    ) -> str:
        parts = build(
            msg_type,
            content or {},
            session=self.session,
            msg_id=msg_id,
            metadata=metadata,
            buffers=buffers,
            parent_header=parent_header,
        )
        if subshell is not None:
            parts[0] = dump(json.loads(parts[0]) | {"subshell_id": subshell})
        if self.socket.protocol:
            await self.socket.send_bytes(encode_v1(channel, parts))
        else:
            frame = encode_json(channel, parts)
            await (self.socket.send_str(frame) if isinstance(frame, str) else self.socket.send_bytes(frame))
        return str(json.loads(parts[0])["msg_id"])

    async def execute(self, code: str, **more: Any) -> str:
        """Send an execute_request; return its id."""
        cell = more.pop("cell", None)
        msg_id = more.pop("msg_id", None)
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True} | more
        metadata = {"cellId": cell} if cell else None
        return await self.send("execute_request", content, msg_id=msg_id, metadata=metadata)

    async def receive(self) -> Message:
        """Return the next message. Raises EOFError when the websocket is closed."""
        async with asyncio.timeout(SECONDS):
            raw = await self.socket.receive()
        if raw.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise EOFError(f"{raw.type!r} {self.socket.close_code} {raw.extra!r}")
        number = 0
        if self.socket.protocol == NUMBERED_PROTOCOL:
            number, channel, parts = decode_numbered(raw.data)
        elif self.socket.protocol == V1_PROTOCOL:
            channel, parts = decode_v1(raw.data)
        else:
            channel, parts = decode_json(raw.data)
        self.seen.append(message := Message.of(number, channel, parts))
        return message

    async def until(self, wanted: Callable[[Message], Any]) -> list[Message]:
        """Receive until a message is as wanted; return all that came, that one last."""
        came = [await self.receive()]
        while not wanted(came[-1]):
            came.append(await self.receive())
        return came

    async def until_closed(self) -> int | None:
        """Receive until the other side closes; return its code."""
        with contextlib.suppress(EOFError):
            await self.until(lambda message: False)
        return self.socket.close_code

    async def until_done(self, msg_id: str) -> list[Message]:
        """Receive until a request's reply and idle have come."""
        missing = {"reply", "idle"}

        def is_last(message: Message) -> bool:
            if message.parent.get("msg_id") == msg_id:
                if message.type.endswith("_reply"):
                    missing.discard("reply")
                if message.type == "status" and message.content["execution_state"] == "idle":
                    missing.discard("idle")
            return not missing

        return await self.until(is_last)

    async def run(self, code: str, **more: Any) -> list[Message]:
        """Execute and return all that came until reply and idle."""
        return await self.until_done(await self.execute(code, **more))


@dataclass
class Workbench:
    """Starts kernels of one environment in a folder of their own."""

    folder: Path
    environment: Path
    started: list[LocalProcess] = field(default_factory=list)
    launcher: LocalLauncher | None = None

    async def start(self, **changes: Any) -> LocalProcess:
        """Start an ipykernel: exec'd, so without numbers, unless `environment` is given."""
        self.launcher = self.launcher or LocalLauncher(self.folder / "kernels", self.folder / "k")
        values: dict[str, Any] = {
            "kernel_id": str(uuid4()),
            "scope": "w-0000000000000001",
            "spec_name": "python3",
            "argv": (str(self.environment / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"),
            "environment": None,
            "folder": self.folder,
            "variables": {
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "IPYTHONDIR": str(self.folder / "i"),
                "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            },
        }
        process = await self.launcher.start(KernelPlan(**(values | changes)))
        self.started.append(process)
        return process

    async def end(self) -> None:
        for process in self.started:
            await process.stop(grace_seconds=0)
        for process in self.started:
            await process.wait()
        if self.launcher is not None:
            await self.launcher.aclose()
            # Connections that were closed tell so in the loop's next turn.
            await asyncio.sleep(0)


@pytest.fixture
async def workbench(run_dir: Path, environment: Path) -> AsyncIterator[Workbench]:
    """Starts kernels, which end with the test."""
    bench = Workbench(run_dir, environment)
    yield bench
    await bench.end()


@pytest.fixture(scope="module")
def shared_process(environment: Path) -> Iterator[LocalProcess]:
    """An ipykernel that the tests of a file share; each attaches anew and must leave it idle."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    bench = Workbench(folder, environment)
    yield asyncio.run(bench.start())
    asyncio.run(bench.end())
    shutil.rmtree(folder)


@pytest.fixture
async def bridge(shared_process: LocalProcess, tmp_path: Path) -> AsyncIterator["Bridge"]:
    """The shared kernel behind a bridge of its own."""
    async with bridge_to(shared_process, tmp_path) as bridge:
        yield bridge


@dataclass
class Bridge:
    """A kernel behind a small HTTP server."""

    kernel: Kernel
    journal: Journal
    url: str
    web_session: aiohttp.ClientSession
    process: Process
    peers: list[Peer] = field(default_factory=list)

    async def connect(
        self,
        *,
        protocol: str | None = V1_PROTOCOL,
        session: str | None = None,
        after: int | None = None,
        rights: str = "see,execute,start",
        person: str = "p-1",
        login: str = "l-1",
        **more: Any,
    ) -> Peer:
        session = uuid4().hex if session is None else session
        query = {"session_id": session, "rights": rights, "person": person, "login": login}
        if after is not None:
            query["after"] = str(after)
        protocols = (protocol,) if protocol else ()
        socket = await self.web_session.ws_connect(
            self.url, params=query, protocols=protocols, max_msg_size=0, compress=0, **more
        )
        self.peers.append(Peer(socket, session))
        return self.peers[-1]


@contextlib.asynccontextmanager
async def bridge_to(process: Process, folder: Path, *, fresh: bool = True, **options: Any) -> AsyncIterator[Bridge]:
    """Attach a kernel and serve it."""
    journal = Journal.open(folder / "journal", **options.pop("journal", {}))
    changes: Callable[[], None] = options.pop("on_change", lambda: None)
    kernel = await Kernel.attach(process, journal, fresh=fresh, on_change=changes, **options)

    async def channels(request: web.Request) -> web.StreamResponse:
        query = request.query
        rights = frozenset(Right(name) for name in query["rights"].split(","))
        caller = Caller("w-1", rights, query["person"], query["person"], query["login"])
        after = int(query["after"]) if "after" in query else None
        return await kernel.serve(request, caller=caller, session=query["session_id"], after=after)

    app = web.Application()
    app.router.add_get("/channels", channels)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield Bridge(kernel, journal, f"http://127.0.0.1:{port}/channels", session, process)
    finally:
        await kernel.close()
        await runner.cleanup()
        journal.close()
