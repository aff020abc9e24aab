"""A kernel's channels over one websocket that comes back by itself and goes on where it was cut.

With `v1.numbered.studiolo` each message arrives once and in order, whatever happens to the connection; what the
kernel's journal no longer holds arrives as a message of channel `journal`, type `gap`. A client that comes back sends
again what it has no answer to, and the service does a message of a known id once. Services that know only
`v1.kernel.websocket.jupyter.org` (any Jupyter server) replay what they keep for a session. Source: decision 005.
"""

import asyncio
import itertools
import json
import ssl
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlencode

from studiolo.contract.errors import HTTP_STATUS, KINDS, InvalidInput, StudioloError, Unavailable
from studiolo.sdk.address import is_encrypted, is_loopback
from studiolo.sdk.kernel_messages import NUMBERED, PLAIN, BadFrameError, KernelMessage, decode, encode
from studiolo.sdk.problems import error_of

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

# Seconds between tries to come back; the last one is repeated.
_BACK_OFF = (0.0, 0.1, 0.3, 1.0, 2.0, 5.0)
_OPENING_SECONDS = 10.0
_PING_SECONDS = 20.0
_LARGEST_FRAME = 256 << 20
# What services take from clients in one message (decision 005).
_LARGEST_SENT = 16 << 20
# Replies whose ids are remembered, so that one that is delivered again is not passed on again.
_REMEMBERED = 1000
# Close codes that say that coming back would end the same way (RFC 6455; 4000 and above are applications').
_FINAL = (1002, 1003, 1007, 1008, 1009)


@dataclass(frozen=True, slots=True)
class KernelAddress:
    """Where a kernel is: the root under which `api/kernels` lies, and its id. `trust`: for https."""

    root: str
    kernel_id: str
    key: str | None = None
    trust: ssl.SSLContext | bool = True

    def websocket(self, session: str, after: int | None) -> str:
        """Return the address of its channels for a client's session, from the message after `after`."""
        asked = {"session_id": session} | ({} if after is None else {"after": str(after)})
        path = f"api/kernels/{quote(self.kernel_id, safe='')}/channels"
        return f"ws{self.root.removeprefix('http')}{path}?{urlencode(asked)}"


class KernelChannels:
    """Send to and receive from one kernel; use it as `async with`, send, and iterate over what comes.

    `after`: deliver what its journal holds after this number; None: what comes from now on. `patience_seconds`: how
    long to try to come back. Iterating ends by Unavailable (`kernel-unreachable`) after that, or by what the service
    says: NotFound (`kernel-not-found`), NotSignedIn, Denied.
    """

    def __init__(
        self,
        address: KernelAddress,
        *,
        session: str | None = None,
        after: int | None = None,
        patience_seconds: float = 300.0,
    ) -> None:
        self.session = session or uuid.uuid4().hex
        self.last = after
        self.is_closed = False
        self._address = address
        self._patience_seconds = patience_seconds
        self._socket: ClientConnection | None = None
        self._is_open = asyncio.Event()
        self._replies: OrderedDict[str, None] = OrderedDict()
        # Sent, and not answered or, where nothing answers, not known to have arrived: by its id.
        self._unanswered: dict[str, KernelMessage] = {}
        self._confirming: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the kernel, which goes on."""
        self.is_closed = True
        self._is_open.set()
        for task in self._confirming:
            task.cancel()
        if self._socket is not None:
            await self._socket.close()

    @property
    def protocol(self) -> str:
        """The websocket protocol that the service chose."""
        return (self._socket.subprotocol if self._socket is not None else None) or PLAIN

    async def send(self, message: KernelMessage) -> None:
        """Send a message; while the connection is cut, wait until it is back. After `close` nothing is sent.

        Raises InvalidInput (`request-too-large`) for more than 16 MiB.
        """
        from websockets.exceptions import ConnectionClosed

        frame = encode(message)
        if len(frame) > _LARGEST_SENT:
            raise _too_large(len(frame))
        while not self.is_closed:
            await self._is_open.wait()
            socket = self._socket
            if socket is None or self.is_closed:
                continue
            try:
                await socket.send(frame)
            except ConnectionClosed:
                self._cut(socket)
                continue
            self._note_sent(socket, message)
            return

    async def __aiter__(self) -> AsyncIterator[KernelMessage]:
        from websockets.exceptions import ConnectionClosed

        while not self.is_closed:
            socket = self._socket
            assert socket is not None
            try:
                async for frame in socket:
                    if (message := self._received(frame)) is not None:
                        yield message
            except ConnectionClosed as exc:
                if exc.rcvd is not None and (exc.rcvd.code in _FINAL or exc.rcvd.code >= 4000):
                    self.is_closed = True
                    raise _ended(self._address, exc.rcvd.reason) from exc
            self._cut(socket)
            if not self.is_closed:
                await self._come_back()

    def _received(self, frame: str | bytes) -> KernelMessage | None:
        """Return the message in a frame, None if it was here before."""
        if isinstance(frame, str):
            raise _not_a_kernel(self._address, "it sent text")
        try:
            message = decode(frame, self.protocol)
            if message.channel == "journal" and message.type == "gap":
                self.last = max(self.last or 0, int(message.content.get("to") or 0))
            elif message.number:
                if message.number <= (self.last or 0):
                    return None
                self.last = message.number
            if message.channel in ("shell", "control"):
                self._unanswered.pop(message.parent_id, None)
                return message if self._is_first(message.id) else None
            if message.type == "status" and message.content.get("execution_state") in ("restarting", "dead"):
                # What the old process had not answered, nobody answers any more.
                self._unanswered.clear()
        except BadFrameError as exc:
            raise _not_a_kernel(self._address, str(exc)) from exc
        return message

    def _is_first(self, message_id: str) -> bool:
        if message_id in self._replies:
            return False
        self._replies[message_id] = None
        if len(self._replies) > _REMEMBERED:
            self._replies.popitem(last=False)
        return True

    async def _open(self) -> None:
        """Connect once, and send again what has no answer yet, where that does nothing twice."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.typing import Subprotocol

        address = self._address
        try:
            socket = await connect(
                address.websocket(self.session, self.last),
                additional_headers={"Authorization": f"Bearer {address.key}"} if address.key else {},
                subprotocols=[Subprotocol(NUMBERED), Subprotocol(PLAIN)],
                ssl=address.trust if is_encrypted(address.root) else None,
                proxy=None if is_loopback(address.root) else True,
                open_timeout=_OPENING_SECONDS,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
                max_size=_LARGEST_FRAME,
                compression=None,
            )
        except InvalidStatus as exc:
            raise _refused(address, exc.response.status_code, exc.response.body) from exc
        except (OSError, InvalidHandshake, TimeoutError) as exc:
            raise _unreachable(address, str(exc)) from exc
        self._socket = socket
        for message in list(self._unanswered.values()) if self.protocol == NUMBERED else ():
            await socket.send(encode(message))
            self._note_sent(socket, message)
        self._is_open.set()

    async def _come_back(self) -> None:
        from websockets.exceptions import ConnectionClosed

        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience_seconds
        for pause in itertools.chain(_BACK_OFF, itertools.repeat(_BACK_OFF[-1])):
            await asyncio.sleep(pause)
            if self.is_closed:
                return
            try:
                await self._open()
            except ConnectionClosed:
                continue
            except Unavailable:
                if loop.time() > end:
                    self.is_closed = True
                    self._is_open.set()
                    raise
            except StudioloError:
                self.is_closed = True
                self._is_open.set()
                raise
            else:
                return

    def _cut(self, socket: "ClientConnection") -> None:
        if socket is self._socket and not self.is_closed:
            self._is_open.clear()

    def _note_sent(self, socket: "ClientConnection", message: KernelMessage) -> None:
        """Remember a message until it is answered; what nothing answers, until a later ping was."""
        self._unanswered[message.id] = message
        if not message.type.endswith("_request"):
            task = asyncio.create_task(self._confirm(socket, message.id))
            self._confirming.add(task)
            task.add_done_callback(self._confirming.discard)

    async def _confirm(self, socket: "ClientConnection", message_id: str) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            await (await socket.ping())
            self._unanswered.pop(message_id, None)


def _too_large(size: int) -> InvalidInput:
    return InvalidInput(
        "request-too-large",
        f"A message of {size / (1 << 20):.1f} MiB is more than the 16 MiB that a kernel is sent at once.",
        hint="Put the data into a file of the workspace, and read it there.",
    )


def _refused(address: KernelAddress, status: int, body: bytes | bytearray) -> StudioloError:
    with suppress(ValueError):
        if isinstance(problem := json.loads(body), dict) and "code" in problem:
            return error_of(problem, status)
    if status == HTTP_STATUS["not-found"]:
        return KINDS["not-found"](
            "kernel-not-found",
            f"There is no kernel {address.kernel_id} that you can see.",
            hint="It may have ended: `studiolo kernels list --all` shows ended ones too.",
        )
    if status in (HTTP_STATUS["not-signed-in"], HTTP_STATUS["denied"]):
        kind = "denied" if status == HTTP_STATUS["denied"] else "not-signed-in"
        return KINDS[kind](
            "denied" if kind == "denied" else "key-invalid",
            f"The key is not accepted for kernel {address.kernel_id}.",
            hint="`studiolo keys create --gateway` makes one for kernels.",
        )
    return _unreachable(address, f"status {status}")


def _unreachable(address: KernelAddress, why: str) -> Unavailable:
    return Unavailable(
        "kernel-unreachable",
        f"Kernel {address.kernel_id} cannot be reached at {address.root}.",
        hint="The kernel itself goes on. See whether the platform runs, and try again.",
        detail=why,
    )


def _ended(address: KernelAddress, reason: str) -> Unavailable:
    return Unavailable(
        "kernel-unreachable",
        f"The connection to kernel {address.kernel_id} was ended{f': {reason}' if reason else ''}.",
        hint="Connect again; `studiolo kernels list` shows whether it runs.",
    )


def _not_a_kernel(address: KernelAddress, why: str) -> Unavailable:
    return Unavailable(
        "kernel-unreachable",
        f"What answers at {address.root} does not speak the kernel protocol: {why}.",
        hint="Check the address; it ends where `api/kernels` begins.",
    )
