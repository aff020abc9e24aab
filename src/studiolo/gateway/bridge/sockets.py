"""The ZMQ side of one kernel: a client's four sockets on the event loop, read in turns so that nobody waits long."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zmq

# One turn of one socket; what is left waits until everybody else had theirs.
TURN_SECONDS = 0.003
TURN_MESSAGES = 128
TURN_BYTES = 1024 * 1024
# Messages of iopub that ZMQ may hold for us. With numbers, a message that it dropped is noticed and fetched; without
# them nobody could tell, so it drops late.
NUMBERED_LIMIT = 100
UNNUMBERED_LIMIT = 1000
# Messages towards the kernel may have 16 MiB: more of them wait where bytes count.
SEND_LIMIT = 16
# ZMQ's own limit, 1,000 sockets, would be reached with 250 kernels.
MOST_SOCKETS = 40_000
# Plain numbers: the arithmetic of enums costs more than asking the socket.
_IN, _OUT = int(zmq.POLLIN), int(zmq.POLLOUT)

Frames = list[bytes]


def new_context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return a ZMQ context for all kernels of one host."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, min(MOST_SOCKETS, context.get(zmq.SOCKET_LIMIT)))
    return context


def address(connection: Mapping[str, Any], channel: str) -> str:
    """Return a channel's ZMQ address from the members of a connection file (ports are names under `ipc`)."""
    joint = "-" if connection["transport"] == "ipc" else ":"
    return f"{connection['transport']}://{connection['ip']}{joint}{connection[f'{channel}_port']}"


class Link:
    """One socket on the event loop: hands over what came in batches, keeps what ZMQ does not take yet.

    Its file descriptor is edge-triggered: whoever sends or receives looks at the socket's events afterwards.
    Source: ZMQ_FD and ZMQ_EVENTS in zmq_getsockopt(3).
    """

    __slots__ = ("_hold", "_loop", "_on_batch", "_on_room", "_socket", "_unsent")

    def __init__(
        self, socket: zmq.Socket[bytes], on_batch: Callable[[list[Frames]], None], on_room: Callable[[], None]
    ) -> None:
        self._socket = socket
        self._on_batch = on_batch
        self._on_room = on_room
        self._unsent: deque[Sequence[bytes]] = deque()
        self._hold = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(socket.FD, self._turn)
        self._loop.call_soon(self._turn)

    @property
    def has_room(self) -> bool:
        """Whether ZMQ took all that was sent."""
        return not self._unsent

    def send(self, frames: Sequence[bytes]) -> None:
        """Send a message, or keep it until ZMQ takes it: who cares for bounds asks `has_room` before."""
        if self._unsent or not self._sent(frames):
            self._unsent.append(frames)
        self._look_again()

    def hold(self) -> None:
        """Stop reading; what comes stays with ZMQ."""
        self._hold = True

    def resume(self) -> None:
        """Read on."""
        self._hold = False
        self._loop.call_soon(self._turn)

    def drain(self) -> int:
        """Hand over what is there at this moment; return how many messages that was."""
        if self._hold or self._socket.closed:
            return 0
        batch = self._received()
        if batch:
            self._on_batch(batch)
        return len(batch)

    def close(self) -> None:
        """Close the socket; what was not sent is dropped."""
        if not self._socket.closed:
            self._loop.remove_reader(self._socket.FD)
            self._socket.close(linger=0)

    def _turn(self) -> None:
        if self._socket.closed:
            return
        had_unsent = bool(self._unsent)
        while self._unsent and self._sent(self._unsent[0]):
            self._unsent.popleft()
        if had_unsent and self.has_room:
            self._on_room()
        try:
            self.drain()
        finally:
            # Whatever a message did to its reader: the descriptor does not tell of the next ones again.
            self._look_again()

    def _look_again(self) -> None:
        if self._socket.closed:
            return
        events = int(self._socket.get(zmq.EVENTS))
        if (events & _IN and not self._hold) or (events & _OUT and self._unsent):
            self._loop.call_soon(self._turn)

    def _sent(self, frames: Sequence[bytes]) -> bool:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _received(self) -> list[Frames]:
        batch: list[Frames] = []
        size = 0
        end = time.monotonic() + TURN_SECONDS
        # Frames know whether more follow: asking the socket after each, as recv_multipart does, costs as much again.
        receive = self._socket.recv
        while len(batch) < TURN_MESSAGES and size < TURN_BYTES and time.monotonic() < end:
            try:
                frame = receive(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            message = [frame.bytes]
            while frame.more:
                frame = receive(zmq.NOBLOCK, copy=False)
                message.append(frame.bytes)
            batch.append(message)
            size += sum(map(len, message))
        return batch


class Channels:
    """A client's sockets to one kernel: DEALERs for shell, control and stdin under one identity, iopub as SUB.

    The identity stays the same for a kernel's whole life, so that a kernel sends what it owes to whichever process
    now stands under this name (ROUTER_HANDOVER on the kernel's side).
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        connection: Mapping[str, Any],
        identity: bytes,
        *,
        numbered: bool,
        on_batch: Callable[[str, list[Frames]], None],
        on_room: Callable[[], None],
    ) -> None:
        self._links: dict[str, Link] = {}
        for channel in ("iopub", "stdin", "control", "shell"):
            socket = context.socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
            socket.linger = 0
            socket.reconnect_ivl = 10
            if channel == "iopub":
                socket.rcvhwm = NUMBERED_LIMIT if numbered else UNNUMBERED_LIMIT
                socket.subscribe(b"")
            else:
                socket.identity = identity
                socket.sndhwm = SEND_LIMIT
            socket.connect(address(connection, channel))
            self._links[channel] = Link(socket, _to(on_batch, channel), on_room)

    def __getitem__(self, channel: str) -> Link:
        return self._links[channel]

    def drain(self) -> int:
        """Hand over what is there at this moment on all channels; return how many messages that was."""
        return sum(link.drain() for link in self._links.values())

    def close(self) -> None:
        """Close all sockets."""
        for link in self._links.values():
            link.close()


def _to(on_batch: Callable[[str, list[Frames]], None], channel: str) -> Callable[[list[Frames]], None]:
    def hand_over(batch: list[Frames]) -> None:
        on_batch(channel, batch)

    return hand_over
