"""The clients of one kernel: who comes, what is pushed to them, who gives no sign of life, who is sent away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

from aiohttp import WSCloseCode, web

from studiolo.gateway.base import Caller, Parts
from studiolo.gateway.bridge.clients import Client
from studiolo.gateway.bridge.output import Published
from studiolo.gateway.bridge.places import Places
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.messages.protocols import OFFERED, Protocol, seal, together
from studiolo.gateway.messages.websocket import Websocket

PING_SECONDS = 15.0
# So many questions without an answer, and the connection is given up.
_UNANSWERED = 3

logger = logging.getLogger(__name__)


class Audience:
    """`read`: takes what a client sends until it leaves. `greeting`: returns the status that a client gets first.

    `session_of_kernel`: returns the kernel's own session. `on_change`: called when somebody came or went.
    """

    def __init__(
        self,
        places: Places,
        journal: Journal,
        *,
        read: Callable[[Client], Awaitable[None]],
        greeting: Callable[[], Parts],
        session_of_kernel: Callable[[], str],
        on_change: Callable[[], None],
        ping: float = PING_SECONDS,
    ) -> None:
        self.has_lost_client = False
        self._places = places
        self._journal = journal
        self._read = read
        self._greeting = greeting
        self._session_of_kernel = session_of_kernel
        self._on_change = on_change
        self._serving: set[asyncio.Task[None]] = set()
        self._ping_seconds = ping
        self._ping: asyncio.TimerHandle | None = None

    async def admit(
        self, request: web.Request, *, caller: Caller, session: str, after: int | None
    ) -> web.StreamResponse:
        """See Kernel.serve."""
        response = web.Response(status=101)
        socket = Websocket.accept(request, OFFERED)
        if socket is None:
            return response
        place, is_known = self._places.take(session, caller.person_id)
        if place.client is not None:
            place.client.close(WSCloseCode.OK, "Another connection of this session took its place.")
            self._leave(place.client)
        if after is not None:
            place.cursor = min(after, self._journal.last)
        elif not is_known:
            self._places.advance(place, self._journal.last)
        client = Client(
            socket,
            caller=caller,
            place=place,
            places=self._places,
            journal=self._journal,
            session_of_kernel=self._session_of_kernel,
        )
        self._enter(client)
        task = asyncio.create_task(self._serve(client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return response

    def push(self, published: Sequence[Published], *, has_gap: bool) -> None:
        """Send what is in the journal by now to all who had everything before; each protocol's frames are made once."""
        frames: dict[Protocol, list[bytes]] = {}
        for client in list(self._places):
            if has_gap:
                client.catch_up()
            elif client.is_current:
                protocol = client.protocol
                if protocol not in frames:
                    sealed = (seal(protocol, m.number, "iopub", m.parts) for m in published)
                    frames[protocol] = together(chain.from_iterable(sealed))
                client.push(frames[protocol], published[0].number, published[-1].number)

    def cut(self, logins: set[str]) -> int:
        """Close the websockets of logins or keys that have ended; return how many."""
        clients = [client for client in self._places if client.caller.login in logins]
        for client in clients:
            client.close(WSCloseCode.POLICY_VIOLATION, "You are signed in no longer.")
        return len(clients)

    async def close(self, reason: str) -> None:
        """Close all websockets and wait until they are closed."""
        if self._ping is not None:
            self._ping.cancel()
        for client in list(self._places):
            client.close(WSCloseCode.GOING_AWAY, reason)
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _enter(self, client: Client) -> None:
        self._places.enter(client)
        if self._ping is None:
            self._ping = asyncio.get_running_loop().call_later(self._ping_seconds, self._check)
        client.send("iopub", self._greeting())
        client.catch_up()
        self._on_change()

    async def _serve(self, client: Client) -> None:
        try:
            await self._read(client)
        except ConnectionError:
            pass
        except Exception:
            logger.exception("A client cannot be served.")
            client.close(WSCloseCode.INTERNAL_ERROR, "Something went wrong here.")
        finally:
            self._leave(client)
        await client.socket.closed()

    def _leave(self, client: Client) -> None:
        client.stop()
        self._places.leave(client)
        self.has_lost_client = client.socket.close_code in (None, WSCloseCode.ABNORMAL_CLOSURE)
        self._on_change()

    def _check(self) -> None:
        now = asyncio.get_running_loop().time()
        for client in list(self._places):
            client.check(now, dead_after=_UNANSWERED * self._ping_seconds)
        is_needed = bool(self._places.clients)
        self._ping = asyncio.get_running_loop().call_later(self._ping_seconds, self._check) if is_needed else None
