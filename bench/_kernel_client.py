"""A stock client of kernels: one websocket in the protocol v1.kernel.websocket.jupyter.org, upstream's own codec."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from _kernel_service import KernelService
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from websockets.asyncio.client import ClientConnection, connect

# jupyter_server answers an upgrade only once the kernel has answered it; ten that start at once take some seconds.
_OPEN_SECONDS = 30.0
_PROTOCOL: Any = "v1.kernel.websocket.jupyter.org"
Result = TypeVar("Result")


@dataclass
class Answer:
    """What came for one request. `seconds`: until the last of it came; `outputs`: contents of its outputs, in order."""

    seconds: float = 0.0
    outputs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that was printed."""
        return "".join(one["text"] for one in self.outputs if "text" in one)

    @property
    def figures(self) -> list[int]:
        """Lengths of what was displayed as plain text."""
        return [len(one["data"]["text/plain"]) for one in self.outputs if "data" in one]


class Executor(Protocol):
    """Something that runs code in a kernel."""

    def execute(self, code: str) -> Answer:
        """Run code and return once its reply and its idle have come."""
        ...


class Collector:
    """Says when all has come for one request, whatever the order of channels."""

    def __init__(self, msg_id: str) -> None:
        self.answer = Answer()
        self._msg_id = msg_id
        self._waits_for = {"reply", "idle"}
        self._began = time.perf_counter()

    def take(self, channel: str, parts: Sequence[bytes | memoryview]) -> bool:
        """Read one message as a client must, all of its JSON; tell whether the answer is whole."""
        header, parent, _metadata, content = (json.loads(bytes(part)) for part in parts[:4])
        if parent.get("msg_id") != self._msg_id:
            return False
        kind = header["msg_type"]
        if channel == "shell":
            self._waits_for.discard("reply")
        elif kind == "status" and content["execution_state"] == "idle":
            self._waits_for.discard("idle")
        elif kind in ("stream", "display_data", "execute_result", "error"):
            self.answer.outputs.append(content)
        self.answer.seconds = time.perf_counter() - self._began
        return not self._waits_for


class KernelClient:
    """One open websocket to a kernel."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket = socket
        self._session = session

    async def execute(self, code: str) -> Answer:
        """Run code and return once its reply and its idle have come."""
        header = execute_header(self._session)
        # As it goes over ZMQ, whose signature is not for clients of a websocket.
        parts = [json.dumps(part).encode() for part in (header, {}, {}, execute_content(code))]
        frame = serialize_msg_to_ws_v1(parts, "shell")
        collector = Collector(header["msg_id"])
        await self._socket.send(frame)
        while not collector.take(*deserialize_msg_from_ws_v1(await self._socket.recv(decode=False))):
            pass
        return collector.answer


@asynccontextmanager
async def connected(service: KernelService, kernel: str) -> AsyncIterator[KernelClient]:
    """Open a websocket to a kernel for the length of a block."""
    session = uuid.uuid4().hex
    url = service.websocket_url(kernel, session)
    options: dict[str, Any] = {
        "subprotocols": [_PROTOCOL],
        "additional_headers": service.headers,
        "compression": None,
        "max_size": None,
        "ping_interval": None,
        "open_timeout": _OPEN_SECONDS,
    }
    async with connect(url, **options) as socket:
        yield KernelClient(socket, session)


class Loop:
    """An event loop in a thread, so that sockets answer pings while others are measured."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @contextmanager
    def holding(self, clients: Iterable[AbstractAsyncContextManager[Any]]) -> Iterator[None]:
        """Keep clients connected for the length of a block."""
        stack = AsyncExitStack()

        async def open_all() -> None:
            for client in clients:
                await stack.enter_async_context(client)

        self.run(open_all())
        try:
            yield
        finally:
            self.run(stack.aclose())

    @contextmanager
    def kernel_of(self, service: KernelService) -> Iterator[Executor]:
        """Start a kernel and keep a websocket to it for the length of a block."""
        kernel = service.start()
        opening = connected(service, kernel)
        client = self.run(opening.__aenter__())
        try:
            yield _Blocking(self, client)
        finally:
            self.run(opening.__aexit__(None, None, None))
            service.stop(kernel)


class _Blocking:
    def __init__(self, loop: Loop, client: KernelClient) -> None:
        self._loop = loop
        self._client = client

    def execute(self, code: str) -> Answer:
        return self._loop.run(self._client.execute(code))


def execute_header(session: str) -> dict[str, Any]:
    """Return the header of a new execute request."""
    return {
        "msg_id": uuid.uuid4().hex,
        "username": "benchmark",
        "session": session,
        "date": datetime.now(UTC).isoformat(),
        "msg_type": "execute_request",
        "version": "5.4",
    }


def execute_content(code: str) -> dict[str, Any]:
    """Return the content of an execute request as notebooks send it."""
    return {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": True,
        "stop_on_error": True,
    }
