"""Messages on shell that wait until the kernel takes them: of each session in a lane of its own, served in turns.

Whoever sends thousands fills only their own lane, and what answers a cell's `input()` comes past all of them. No more
than WINDOW requests are with the kernel: ipykernel 7 stops for ever where so many wait in it that its two threads fill
both queues between them.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from studiolo.gateway.bridge.places import Place
from studiolo.gateway.bridge.requests import Request

WINDOW = 64
# Of one session; then its websocket is not read.
MOST_MESSAGES = 4096
MOST_BYTES = 4 * 1024 * 1024
# How long an idle kernel may leave requests unanswered before they count as none: malformed ones, for example.
STALL_SECONDS = 1.0


class Waiting(NamedTuple):
    """A message to be sent. `request`: None for one that has no reply."""

    parts: list[bytes]
    request: Request | None


class Lane:
    """What one session sent and the kernel does not take yet."""

    def __init__(self) -> None:
        self.waiting: deque[Waiting] = deque()
        self.size = 0
        self.room = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether the session has to wait."""
        return len(self.waiting) >= MOST_MESSAGES or self.size >= MOST_BYTES

    def take(self) -> Waiting:
        """Take the first."""
        first = self.waiting.popleft()
        self.size -= sum(map(len, first.parts))
        self.room.set()
        return first


class Lanes:
    """All lanes of a kernel.

    `takes`: whether it can be sent something now. `is_stalled`: whether it is idle and has said nothing for a while.
    """

    def __init__(
        self, send: Callable[[list[bytes]], None], takes: Callable[[], bool], is_stalled: Callable[[], bool]
    ) -> None:
        self._send = send
        self._takes = takes
        self._is_stalled = is_stalled
        self._lanes: OrderedDict[Place, Lane] = OrderedDict()
        self._under_way: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def put(self, place: Place, waiting: Waiting) -> None:
        """Send a message in its session's turn, now if nothing is in the way; waits while the lane is full."""
        lane = self._lanes.setdefault(place, Lane())
        lane.waiting.append(waiting)
        lane.size += sum(map(len, waiting.parts))
        self.pump()
        while lane.is_full:
            lane.room.clear()
            await lane.room.wait()

    def pump(self) -> None:
        """Send what the kernel takes now; called whenever that may have changed."""
        while self._lanes and len(self._under_way) < WINDOW and self._takes():
            place, lane = next(iter(self._lanes.items()))
            first = lane.take()
            if lane.waiting:
                self._lanes.move_to_end(place)
            else:
                del self._lanes[place]
            if first.request is not None:
                self._under_way.add(first.request.msg_id)
            self._send(first.parts)
        if self._lanes and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(STALL_SECONDS, self._look)

    def done(self, msg_id: str) -> None:
        """Note that a request was answered."""
        if msg_id in self._under_way:
            self._under_way.discard(msg_id)
            self.pump()

    def abort(self, place: Place) -> list[Request]:
        """Take a session's cells out of its lane; return their requests. Other messages stay."""
        lane = self._lanes.get(place)
        cells = [] if lane is None else [one for one in lane.waiting if _is_cell(one)]
        if lane is not None and cells:
            kept = [one for one in lane.waiting if not _is_cell(one)]
            lane.waiting = deque(kept)
            lane.size = sum(sum(map(len, one.parts)) for one in kept)
            lane.room.set()
            if not kept:
                del self._lanes[place]
        return [one.request for one in cells if one.request is not None]

    def clear(self) -> None:
        """Forget everything: the kernel is gone."""
        for lane in self._lanes.values():
            lane.waiting.clear()
            lane.size = 0
            lane.room.set()
        self._lanes.clear()
        self._under_way.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._is_stalled():
            self._under_way.clear()
        self.pump()


def _is_cell(waiting: Waiting) -> bool:
    return waiting.request is not None and waiting.request.msg_type == "execute_request"
