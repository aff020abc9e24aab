"""One client's websocket: a cursor in the journal. Who is slow reads from there and holds nobody up."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from studiolo.gateway.base import Caller, Parts
from studiolo.gateway.bridge.places import Mail, Place, Places
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.journals.records import Entry, Gap
from studiolo.gateway.messages.protocols import Protocol, seal
from studiolo.gateway.messages.replies import gap_message
from studiolo.gateway.messages.websocket import Websocket

# What may wait in the process for one client to take it, beside one message; then it reads from the journal.
MOST_WAITING = 1024 * 1024
# How much is read from the journal at a time.
STRETCH_BYTES = 256 * 1024

_PING = b"\x89\x00"


class Client:
    """One websocket of one session."""

    __slots__ = (
        "_catching_up",
        "_journal",
        "_places",
        "caller",
        "is_blocked",
        "place",
        "protocol",
        "session_of_kernel",
        "socket",
    )

    def __init__(
        self,
        socket: Websocket,
        *,
        caller: Caller,
        place: Place,
        places: Places,
        journal: Journal,
        session_of_kernel: Callable[[], str],
    ) -> None:
        self.socket = socket
        self.protocol = Protocol(socket.protocol)
        self.caller = caller
        self.place = place
        self.session_of_kernel = session_of_kernel
        # Whether it is not being read, because the kernel takes no more of its requests.
        self.is_blocked = False
        self._places = places
        self._journal = journal
        self._catching_up: asyncio.Task[None] | None = None
        socket.limit_waiting(MOST_WAITING)

    @property
    def is_current(self) -> bool:
        """Whether it was sent all that there is, and new messages can be pushed to it."""
        return self._catching_up is None

    def push(self, pieces: Sequence[bytes], first: int, last: int) -> None:
        """Write sealed frames, in pieces, of numbers `first` to `last`. Only to clients that are current.

        Who was not sent all before, or takes nothing now, gets them from the journal: nothing twice, nothing left out.
        """
        if self.place.cursor != first - 1 or not self._can_write():
            self.catch_up()
            return
        self._places.advance(self.place, last)
        self.socket.write(*pieces)

    def send(self, channel: str, parts: Parts) -> None:
        """Write a message that is in no journal, now; ahead of older output if the client is slow."""
        self.socket.write(*seal(self.protocol, 0, channel, parts))

    def deliver(self, mail: Mail) -> None:
        """Write a reply or a request for input, after the output that the client still has to read."""
        if not self.is_current or not self._can_write():
            self.place.keep(mail)
            self.catch_up()
            return
        self.send(mail.channel, mail.parts)
        if mail.channel != "stdin":
            self._journal.note_reply(mail.request)
            if self.protocol is Protocol.NUMBERED:
                self.place.note_reply(mail)

    def catch_up(self) -> None:
        """Send from the journal what the client was not sent yet, as quickly as it takes it."""
        if self._catching_up is None and self.socket.is_open:
            self._catching_up = asyncio.create_task(self._read_on())

    def close(self, code: int, reason: str) -> None:
        """Begin to close the websocket with a code of RFC 6455 and a reason of at most 123 bytes."""
        self.socket.close(code, reason)

    async def taken(self) -> None:
        """Wait until the client has taken most of what was written: who does not read is not read either."""
        await self.socket.drain()

    def stop(self) -> None:
        """Send no more."""
        if self._catching_up is not None:
            self._catching_up.cancel()

    def check(self, now: float, *, dead_after: float) -> None:
        """Ask for a sign of life, or drop the connection of which there was none for so many seconds."""
        if now - self.socket.heard_at > dead_after and not self.is_blocked:
            self.socket.abort()
        else:
            self.socket.write(_PING)

    def _can_write(self) -> bool:
        return self.socket.waiting_bytes <= MOST_WAITING and self.socket.is_open

    async def _read_on(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self.socket.drain()
                # Who takes something lives.
                self.socket.heard_at = asyncio.get_running_loop().time()
                entries = self._journal.read(self.place.cursor, most_bytes=STRETCH_BYTES)
                if not entries:
                    break
                self._write_entries(entries)
                # A client that takes everything at once must not keep the others waiting.
                await asyncio.sleep(0)
            self._catching_up = None
            for mail in self.place.take_mail():
                self.deliver(mail)

    def _write_entries(self, entries: Sequence[Entry | Gap]) -> None:
        for place, entry in enumerate(entries):
            if isinstance(entry, Entry):
                number, channel, parts = entry.number, entry.channel, entry.parts
            else:
                following = entries[place + 1] if place + 1 < len(entries) else None
                parent = following.parts[1] if isinstance(following, Entry) else b"{}"
                number = entry.last
                channel, parts = gap_message(
                    entry,
                    numbered=self.protocol is Protocol.NUMBERED,
                    session=self.session_of_kernel(),
                    parent_header=parent,
                )
            if not self.socket.is_open:
                return
            self._places.advance(self.place, number)
            self.socket.write(*seal(self.protocol, number, channel, parts))
