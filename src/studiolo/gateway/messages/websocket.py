"""One open websocket, on a connection that is taken over from the HTTP server, so that it costs little while idle.

Framing and closing: RFC 6455, by the core of the library `websockets` that knows no sockets.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from aiohttp import web
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SERVER, State
from websockets.protocol import Protocol as Framing
from websockets.utils import accept_key

MOST_INCOMING = 16 * 1024 * 1024
# Of one message: what a piece costs here does not count among its bytes, and empty ones could come without end.
MOST_PIECES = 65_536
# What may wait to be received before the connection is not read any more.
MOST_UNREAD = 64
MOST_UNREAD_BYTES = 1024 * 1024
CLOSE_SECONDS = 2.0
MOST_REASON_BYTES = 123
# As many as one call takes (IOV_MAX).
_MOST_PIECES = 1024

# Given to all connections: each would have one of its own, for frames that are nobody's business.
_quiet = logging.getLogger("studiolo.gateway.framing")
_quiet.setLevel(logging.ERROR)


class Message(NamedTuple):
    """A whole message of the other side."""

    is_text: bool
    data: str | bytes


class Websocket(asyncio.Protocol):
    """A websocket without compression, which answers pings and leaves it to others to send some.

    `protocol`: the subprotocol that was agreed on, "" for none. `heard_at`: when anything came, on the loop's clock.
    `is_plain`: not in TLS, so that what is written may go to the socket itself.
    """

    __slots__ = (
        "_end",
        "_framing",
        "_loop",
        "_lost",
        "_pieces",
        "_room",
        "_transport",
        "_unread",
        "_waiter",
        "heard_at",
        "is_plain",
        "protocol",
    )
    _transport: asyncio.Transport

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.is_plain = True
        self._loop = asyncio.get_running_loop()
        self.heard_at = self._loop.time()
        self._framing = Framing(SERVER, max_size=MOST_INCOMING, logger=_quiet)
        # Lists, since an empty deque takes as much memory as all the rest.
        self._pieces: list[Frame] = []
        self._unread: list[Message] = []
        self._waiter: asyncio.Future[None] | None = None
        # When it is closing: what drops it in the end, and who waits for that.
        self._end: asyncio.TimerHandle | None = None
        self._lost: asyncio.Future[None] | None = None
        # Set while the other side does not take what is written.
        self._room: asyncio.Event | None = None

    @classmethod
    def accept(cls, request: web.Request, protocols: tuple[str, ...]) -> Self | None:
        """Make a websocket of a request, whose handler then returns any response; None if the client has gone.

        Raises aiohttp's HTTPBadRequest for a request that asks for none.
        """
        ready = web.WebSocketResponse(protocols=protocols).can_prepare(request)
        if not ready:
            raise web.HTTPBadRequest(text="This address is for websockets.")
        transport = request.transport
        if transport is None or transport.is_closing():
            return None
        websocket = cls(ready.protocol or "")
        websocket.is_plain = transport.get_extra_info("sslcontext") is None
        _take_over(request, transport, websocket)
        websocket.write(_handshake(request.headers["Sec-WebSocket-Key"], websocket.protocol))
        return websocket

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close it."""
        return self._framing.state is State.OPEN and not self._transport.is_closing()

    @property
    def close_code(self) -> int | None:
        """The code that the other side closed it with; 1006 if it vanished, None while it is open."""
        # Known before the connection's end, which the library waits for.
        received = self._framing.close_rcvd
        return self._framing.close_code if received is None else received.code

    @property
    def waiting_bytes(self) -> int:
        """What was written and is still in this process."""
        return self._transport.get_write_buffer_size()

    def limit_waiting(self, most_bytes: int) -> None:
        """Have `drain` wait while more than this is still in this process."""
        self._transport.set_write_buffer_limits(high=most_bytes)

    def write(self, *pieces: bytes) -> None:
        """Write sealed frames, in pieces; nothing once it is closing. What is taken at once is not copied."""
        if self.is_open:
            is_alone = len(pieces) == 1 or self.waiting_bytes
            for piece in pieces if is_alone or not self.is_plain else self._sent(pieces):
                self._transport.write(piece)

    async def drain(self) -> None:
        """Wait until the other side has taken most of what was written. Raises ConnectionResetError."""
        if self._room is not None:
            await self._room.wait()
        if self._transport.is_closing():
            raise ConnectionResetError("The websocket is closed.")

    async def receive(self) -> Message | None:
        """Return the next message; None when it is closing and all were received. For one task."""
        while not self._unread:
            if not self.is_open:
                return None
            self._waiter = self._loop.create_future()
            await self._waiter
        message = self._unread.pop(0)
        if not self._has_much_unread() and not self._transport.is_closing():
            self._transport.resume_reading()
        return message

    def close(self, code: int, reason: str) -> None:
        """Begin to close it, with a reason of at most 123 bytes; after two seconds the connection is dropped."""
        if self.is_open:
            self._framing.send_close(code, reason.encode()[:MOST_REASON_BYTES].decode("utf-8", "ignore"))
            self._write_due()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    async def closed(self) -> None:
        """Wait until the connection is gone; that is at most two seconds after its closing began. For one task."""
        if self._lost is not None:
            await self._lost

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._lost = self._loop.create_future()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.heard_at = self._loop.time()
        self._framing.receive_data(data)
        for frame in self._framing.events_received():
            if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._pieces.append(frame)
                if frame.fin:
                    self._take_message()
                elif len(self._pieces) > MOST_PIECES:
                    self._pieces = []
                    self.close(CloseCode.MESSAGE_TOO_BIG, f"A message comes in {MOST_PIECES:,} pieces at most.")
        self._write_due()
        if self._has_much_unread():
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """See asyncio.Protocol."""
        self._framing.receive_eof()
        self._write_due()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._framing.receive_eof()
        if self._end is not None:
            self._end.cancel()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        self.resume_writing()
        self._wake()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._room = asyncio.Event()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        room, self._room = self._room, None
        if room is not None:
            room.set()

    def _sent(self, pieces: Sequence[bytes]) -> Iterator[memoryview]:
        """Send what the connection takes now, and yield the rest. An error is left to the transport to meet."""
        sent = 0
        # The transport would join all pieces first, and copy again what is not taken (before Python 3.12).
        with contextlib.suppress(OSError):
            sent = os.writev(self._transport.get_extra_info("socket").fileno(), pieces[:_MOST_PIECES])
        for piece in pieces:
            if sent < len(piece):
                yield memoryview(piece)[sent:]
            sent = max(0, sent - len(piece))

    def _has_much_unread(self) -> bool:
        unread = self._unread
        return len(unread) >= MOST_UNREAD or sum(len(message.data) for message in unread) > MOST_UNREAD_BYTES

    def _take_message(self) -> None:
        pieces, self._pieces = self._pieces, []
        data = bytes(pieces[0].data) if len(pieces) == 1 else b"".join(piece.data for piece in pieces)
        if pieces[0].opcode is Opcode.BINARY:
            self._unread.append(Message(False, data))
            return
        try:
            self._unread.append(Message(True, data.decode()))
        except UnicodeDecodeError:
            self.close(CloseCode.INVALID_DATA, "This text is not UTF-8.")

    def _write_due(self) -> None:
        """Write what the protocol owes the other side, and see to the connection's end."""
        for data in self._framing.data_to_send():
            if data:
                self._transport.write(data)
            elif not self._transport.is_closing():
                # What the other side still sends is read and dropped: else it would see a reset and not why.
                (self._transport.write_eof if self.is_plain else self._transport.close)()
        if self._end is None and self._framing.close_expected():
            self._end = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _take_over(request: web.Request, transport: asyncio.Transport, websocket: Websocket) -> None:
    """Give a connection to a websocket; to the HTTP server it is lost."""
    former = request.protocol
    transport.set_protocol(websocket)
    # It would close the connection that it knows.
    former.transport = None
    former.connection_lost(None)
    websocket.connection_made(transport)
    if not transport.is_reading():
        transport.resume_reading()


def _handshake(key: str, protocol: str) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
        *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []),
    ]
    return "\r\n".join((*lines, "", "")).encode()
