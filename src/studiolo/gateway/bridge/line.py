"""The line to one process of a kernel: its sockets, its key, what it publishes, and the host's own requests to it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import uuid4

import zmq

from studiolo.gateway.base import Parts, Process
from studiolo.gateway.bridge.output import Output, Published
from studiolo.gateway.bridge.requests import Answer, Request, Requests
from studiolo.gateway.bridge.sockets import Channels, Frames, new_context
from studiolo.gateway.bridge.spooling import Spool
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.messages.replies import read_content
from studiolo.gateway.messages.wire import BadMessageError, Signer, build, read_header

GREETING_SECONDS = 0.5
_FIRST_WORD_SECONDS = 0.1
# How long clients' requests wait for the kernel to be heard: kernels that never publish get them then.
MOST_GREETING_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Line:
    """Made when a process is to be talked to, closed when it has ended or is left.

    `on_published`: as `forward` of Output. `on_message`: gets (channel, parts) of replies and requests for input.
    `on_room`: called when more may be sent. `heard`: set once the kernel said anything, or never will.
    """

    def __init__(
        self,
        process: Process,
        journal: Journal,
        requests: Requests,
        *,
        on_published: Callable[[list[Published], bool], None],
        on_message: Callable[[str, list[bytes]], None],
        on_room: Callable[[], None],
    ) -> None:
        connection = process.connection
        self.heard = asyncio.Event()
        self.information: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.has_spool = process.spool is not None
        self._name = f"studiolo-{uuid4().hex}"
        self._kernel_id = process.kernel_id
        self._journal = journal
        self._requests = requests
        self._on_message = on_message
        self._on_room = on_room
        self._room: list[asyncio.Future[None]] = []
        self._is_open = True
        self._signer = Signer(
            str(connection["key"]).encode(),
            connection.get("signature_scheme", "hmac-sha256"),
            # Sockets of `ipc` lie in the folder of the connection file. To check 1 MiB takes 2 ms.
            checks=connection["transport"] != "ipc",
        )
        spool = None if process.spool is None else Spool(process.spool)
        self.output = Output(self._signer, journal, spool, on_published, self.heard)
        self._channels = self.output.channels = Channels(
            shared_context(),
            connection,
            f"studiolo-{process.kernel_id}".encode(),
            numbered=self.has_spool,
            on_batch=self._take,
            on_room=self._give_room,
        )

    @property
    def session(self) -> str:
        """The kernel's own session id; the host's before the kernel said anything."""
        return self.output.session or self._name

    def takes(self, channel: str) -> bool:
        """Whether the kernel is heard, and ZMQ takes a message on a channel now."""
        return self._is_open and self.heard.is_set() and self._channels[channel].has_room

    async def has_room(self, channel: str) -> None:
        """Wait until it takes a message on a channel, or never will."""
        await self.heard.wait()
        while self._is_open and not self._channels[channel].has_room:
            future = asyncio.get_running_loop().create_future()
            self._room.append(future)
            await future

    def send(self, channel: str, parts: Parts) -> None:
        """Send a message; nothing once it is closed."""
        if self._is_open:
            self._channels[channel].send(self._signer.pack(parts))

    def ask(self, channel: str, msg_type: str, content: dict[str, Any] | None = None) -> Answer:
        """Send a request of the host's own. Whoever ends the kernel cancels the answer."""
        answer: Answer = asyncio.get_running_loop().create_future()
        parts = build(msg_type, content or {}, session=self._name)
        self._requests.note(Request(read_header(parts).msg_id, msg_type, self._name, parts[0], answer))
        self.send(channel, parts)
        return answer

    async def ask_within(
        self, seconds: float, channel: str, msg_type: str, content: dict[str, Any] | None = None
    ) -> bool:
        """Send a request and say whether it was answered in time."""
        answer = self.ask(channel, msg_type, content)
        done, _ = await asyncio.wait((answer,), timeout=seconds)
        return bool(done) and not answer.cancelled()

    async def greet(self, *, fresh: bool) -> Answer | None:
        """Have the kernel introduce itself until it is heard; return what it answers on shell, None if it is not asked.

        When that comes, it has answered everything that it was sent on shell before.
        """
        if fresh and self.has_spool:
            await self._hear_first()
        control = self.ask("control", "kernel_info_request")
        # A new one of ours answers on control: its first cell need not wait behind a question.
        shell = None if fresh and self.has_spool else self.ask("shell", "kernel_info_request")
        begun_at = time.monotonic()
        while not self.heard.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GREETING_SECONDS):
                    await self.heard.wait()
                break
            if time.monotonic() - begun_at > MOST_GREETING_SECONDS:
                self.heard.set()
            else:
                self.ask("control", "kernel_info_request")
        self._on_room()
        await asyncio.wait([asked for asked in (shell, control) if asked], return_when=asyncio.FIRST_COMPLETED)
        is_known = control.done() and read_content(control.result()).get("status") == "ok"
        if not is_known:
            shell = shell or self.ask("shell", "kernel_info_request")
        information = read_content(await (control if shell is None or is_known else shell))
        if not self.information.done():
            self.information.set_result(information)
        return shell

    async def _hear_first(self) -> None:
        """Wait for what a kernel says by itself as it starts, and a moment longer: it may have a first cell to run."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_WORD_SECONDS):
                await self.heard.wait()
                self._on_room()
                await asyncio.sleep(_FIRST_WORD_SECONDS)

    async def hear_out(self) -> None:
        """Take what is still under way from a process that has ended."""
        quiet = 0
        while quiet < 3 and self._is_open:
            quiet = 0 if self._channels.drain() else quiet + 1
            await asyncio.sleep(0.01)

    def close(self) -> None:
        """Close the sockets; whoever waits goes on."""
        self._is_open = False
        self.output.close()
        self._channels.close()
        self.heard.set()
        self._give_room()
        if not self.information.done():
            ended = {"status": "error", "ename": "DeadKernelError", "evalue": "The kernel has ended."}
            self.information.set_result(ended)

    def _take(self, channel: str, batch: list[Frames]) -> None:
        if channel == "iopub":
            self.output.take(batch)
            return
        for frames in batch:
            try:
                _, parts = self._signer.unpack(frames)
            except BadMessageError as error:
                logger.warning("A message of kernel %s is left out: %s", self._kernel_id, error.reason)
                continue
            self._on_message(channel, parts)
        self._journal.flush()

    def _give_room(self) -> None:
        self._on_room()
        room, self._room = self._room, []
        for future in room:
            if not future.done():
                future.set_result(None)


@cache
def shared_context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return the ZMQ context of this process, made when first needed."""
    return new_context()
