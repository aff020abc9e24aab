"""What a forked kernel has published and nobody has acknowledged yet, and the socket by which a kernel host gets it.

Numbers. Each message on iopub has a number, 1 for the kernel's first: a frame `studiolo:<number>` right before the
delimiter `<IDS|MSG>`. Subscriptions by topic are not touched by it, and clients take it for one more identity.

Keeping. A message is kept until it is acknowledged: in memory, beyond `MEMORY_BYTES` in files, beyond `FILES` of them
not at all: the oldest file is dropped, and what was in it is counted. A kernel that ends in order writes what it has
in memory to the files; `read_left` reads them then.

Socket. `RUN/k/<id>/spool`, a unix stream (mode 0600), any number of clients. A client writes JSON objects, a line each:

    {"ack": N}     messages up to N need not be kept any longer; nothing is answered
    {"after": N}   answered by records: messages with numbers above N, in order, as far as they are kept, then `last`

A record is, little-endian: number (8 bytes), count of parts (4 bytes), and for each part its length (8 bytes) and its
bytes. The parts of a message are all frames as they were published, topic and number too. Number 0 is no message: its
only part is a JSON object, {"dropped": {"from", "to", "messages", "bytes"}} for what was above N and is lost, before
the messages, or {"last": N} at the end: the number of the last message so far. What comes later is published as ever,
so a client that subscribes first and asks then misses nothing.
"""

import asyncio
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.runtime.launch import read_plain

# Of big messages the queue of ZMQ holds the same bytes, so most of this is no memory more.
MEMORY_BYTES = 32 * 1024 * 1024
FILE_BYTES = 32 * 1024 * 1024
FILES = 8
# A single message may be longer than a file should be.
_MOST_BYTES = 1024**3
DELIMITER = b"<IDS|MSG>"
MARK = b"studiolo:"
_HEAD = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")
# What Python needs for a message besides its bytes, about.
_OVERHEAD_BYTES = 400
_CHUNK_BYTES = 1024 * 1024
_BACKLOG = 8


@dataclass(slots=True)
class _File:
    path: Path
    first: int
    last: int
    size: int


class Backlog:
    """The messages that are kept. Not thread-safe. `folder` is made when the first file is needed."""

    def __init__(
        self, folder: Path, *, memory_bytes: int = MEMORY_BYTES, file_bytes: int = FILE_BYTES, files: int = FILES
    ) -> None:
        self.folder = folder
        self.last = 0
        self._memory_bytes = memory_bytes
        self._file_bytes = file_bytes
        self._most_files = files
        self._memory: deque[tuple[int, int, list[bytes]]] = deque()
        self._used = 0
        self._files: list[_File] = []
        self._dropped: list[_File] = []

    def add(self, frames: Sequence[Any]) -> list[bytes]:
        """Number a message and keep it; returns its frames with the number."""
        self.last += 1
        # What has no delimiter is no message of Jupyter's; it passes as it is.
        place = frames.index(DELIMITER) if DELIMITER in frames else len(frames)
        # A buffer may change once the cell goes on.
        numbered = [frame if type(frame) is bytes else bytes(frame) for frame in frames]
        numbered.insert(place, b"%s%d" % (MARK, self.last))
        size = sum(map(len, numbered)) + _OVERHEAD_BYTES
        self._memory.append((self.last, size, numbered))
        self._used += size
        if self._used > self._memory_bytes:
            self._move_to_file(self._memory_bytes // 2)
        return numbered

    def acknowledge(self, number: int) -> None:
        """Forget the messages up to `number`; those in a file go when all of the file may."""
        while self._memory and self._memory[0][0] <= number:
            self._used -= self._memory.popleft()[1]
        while self._files and self._files[0].last <= number:
            self._files.pop(0).path.unlink(missing_ok=True)
        while self._dropped and self._dropped[0].last <= number:
            self._dropped.pop(0)

    def records(self, after: int) -> Iterator[bytes]:
        """Yield what answers {"after": `after`}. Messages may be added and acknowledged meanwhile."""
        last, memory, files = self.last, list(self._memory), list(self._files)
        if lost := [file for file in self._dropped if file.last > after]:
            first = max(after + 1, lost[0].first)
            messages = sum(file.last - max(first, file.first) + 1 for file in lost)
            told = {"from": first, "to": lost[-1].last, "messages": messages, "bytes": sum(f.size for f in lost)}
            yield encode(0, [json.dumps({"dropped": told}).encode()])
        for file in files:
            if file.last > after:
                yield from _read_records(file.path, after)
        for number, _, frames in memory:
            if number > after:
                yield encode(number, frames)
        yield encode(0, [json.dumps({"last": last}).encode()])

    def leave(self) -> None:
        """Write all that is in memory to files, for after the end of this process."""
        if self._memory:
            self._move_to_file(0)

    def _move_to_file(self, keep_bytes: int) -> None:
        """Move the oldest messages out of memory until `keep_bytes` are used; they are dropped if the disk is full."""
        moved = [self._memory.popleft()]
        self._used -= moved[0][1]
        while self._used > keep_bytes:
            moved.append(self._memory.popleft())
            self._used -= moved[-1][1]
        content = b"".join(encode(number, frames) for number, _, frames in moved)
        if not self._files or self._files[-1].size + len(content) > self._file_bytes:
            self._files.append(_File(self.folder / f"{moved[0][0]:020}", moved[0][0], moved[0][0] - 1, 0))
        file = self._files[-1]
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file.path.open("ab") as opened:
                # A write that failed in the middle must not stand before the next.
                opened.truncate(file.size)
                opened.write(content)
        except OSError:
            self._drop(_File(file.path, moved[0][0], moved[-1][0], len(content)))
            if not file.size:
                self._files.remove(file)
            return
        file.last, file.size = moved[-1][0], file.size + len(content)
        while len(self._files) > self._most_files:
            oldest = self._files.pop(0)
            oldest.path.unlink(missing_ok=True)
            self._drop(oldest)

    def _drop(self, lost: _File) -> None:
        if self._dropped and self._dropped[-1].last == lost.first - 1:
            self._dropped[-1].last = lost.last
            self._dropped[-1].size += lost.size
        else:
            self._dropped.append(lost)


class NumberingSocket:
    """A ZMQ socket that numbers and keeps what is published; all else is the socket's own."""

    def __init__(self, publisher: Any, backlog: Backlog) -> None:
        self._publisher = publisher
        self._backlog = backlog

    def send_multipart(self, frames: Sequence[Any], *arguments: Any, **options: Any) -> Any:
        """See zmq.Socket.send_multipart. Called in the thread that publishes."""
        return self._publisher.send_multipart(self._backlog.add(frames), *arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._publisher, name)


class SpoolServer:
    """Serves a backlog on a socket, in the event loop of the thread that fills it."""

    def __init__(self, backlog: Backlog, listener: socket.socket) -> None:
        self._backlog = backlog
        self._listener = listener
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to serve; the loop must be the publishing thread's."""
        self._server = await asyncio.start_unix_server(self._talk, sock=self._listener)

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                request = json.loads(line)
                if "ack" in request:
                    self._backlog.acknowledge(int(request["ack"]))
                if "after" in request:
                    await self._give(int(request["after"]), writer)
        except (OSError, ValueError, TypeError):
            # It broke off or does not speak this protocol: it may come again.
            pass
        finally:
            writer.close()

    async def _give(self, after: int, writer: asyncio.StreamWriter) -> None:
        waiting = 0
        for record in self._backlog.records(after):
            writer.write(record)
            waiting += len(record)
            if waiting > _CHUNK_BYTES:
                await writer.drain()
                waiting = 0
        await writer.drain()


def listen(path: Path) -> socket.socket:
    """Listen on a unix socket that only this account can reach. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(umask)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def encode(number: int, parts: Sequence[bytes]) -> bytes:
    """Return one record."""
    pieces = [_HEAD.pack(number, len(parts))]
    for part in parts:
        pieces += (_LENGTH.pack(len(part)), part)
    return b"".join(pieces)


def decode(content: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (number, parts) of the records in `content`; a cut one at its end is left out."""
    place = 0
    try:
        while place < len(content):
            number, count = _HEAD.unpack_from(content, place)
            place += _HEAD.size
            parts = []
            for _ in range(count):
                (length,) = _LENGTH.unpack_from(content, place)
                place += _LENGTH.size
                parts.append(content[place : place + length])
                place += length
            if place <= len(content):
                yield number, parts
    except struct.error:
        return


def read_left(folder: Path, after: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (number, frames) of what an ended kernel left in its folder `spool` above `after`, oldest first."""
    # The kernel's code may have put anything in its place.
    with suppress(FileNotFoundError, NotADirectoryError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for name in sorted(entry.name for entry in os.scandir(handle) if entry.name[0].isdigit()):
                for number, frames in decode(read_plain(name, folder=handle, most=_MOST_BYTES)):
                    if number > after:
                        yield number, frames
        finally:
            os.close(handle)


def _read_records(path: Path, after: int) -> Iterator[bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        # Acknowledged or dropped meanwhile.
        return
    for number, frames in decode(content):
        if number > after:
            yield encode(number, frames)
