"""What a kernel publishes: checked, completed from its spool, numbered, written to the journal, then handed on."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from studiolo.gateway.base import Parts
from studiolo.gateway.bridge.sockets import Channels, Frames
from studiolo.gateway.bridge.spooling import Dropped, Spool
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.messages.replies import too_big
from studiolo.gateway.messages.wire import DELIMITER, BadMessageError, Header, Signer, parent_id, read_header
from studiolo.runtime.kernelrequest import KernelFiles
from studiolo.runtime.spool import read_left

MOST_OUTGOING = 64 * 1024 * 1024
NUMBER_MARK = b"studiolo:"
WELCOME = "iopub_welcome"
# A kernel that is restarted numbers from 1 again: in the journal its numbers begin at the next multiple of this.
LIFE = 1 << 40
# ZMQ drops nothing before this many wait; if those were the last, no later number would tell.
BURST_MESSAGES = 500
QUIET_SECONDS = 0.3
# So much is fetched before it is handed on.
STRETCH_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Published:
    """A message of iopub that is in the journal. `parent`: msg_id of what caused it, "" for nothing."""

    number: int
    header: Header
    parent: str
    parts: Parts
    size: int


class Output:
    """Takes iopub's messages in batches.

    `forward` gets what is in the journal by then, in order, and whether the journal has a gap among it. While messages
    that ZMQ dropped are fetched from the spool, nothing newer is handed on. `heard`: set when the kernel says anything.
    """

    def __init__(
        self,
        signer: Signer,
        journal: Journal,
        spool: Spool | None,
        forward: Callable[[list[Published], bool], None],
        heard: asyncio.Event,
    ) -> None:
        self._signer = signer
        self._journal = journal
        self._spool = spool
        self._forward = forward
        self._base = journal.kernel_number // LIFE * LIFE
        self._last = journal.kernel_number - self._base
        self._held: list[Frames] = []
        self._fetching: asyncio.Task[None] | None = None
        self._burst = 0
        self._checking: asyncio.TimerHandle | None = None
        self._heard = heard
        self.channels: Channels | None = None
        # The kernel's own session, as in its headers; "" before it said anything.
        self.session = ""

    def take(self, batch: list[Frames]) -> None:
        """Take messages as they came from ZMQ."""
        if self._fetching is not None:
            self._held += batch
            return
        published: list[Published] = []
        has_gap = False
        for place, frames in enumerate(batch):
            number = _number(frames)
            if number is not None and number > self._last + 1:
                if self._spool is not None:
                    self._held += batch[place:]
                    self.fetch()
                    break
                self._journal.note_gap(number - self._last - 1)
                has_gap = True
            self._add(published, frames, number)
        self._hand_on(published, has_gap=has_gap)

    def fetch(self) -> None:
        """Fetch from the spool what comes after the last message that there is; newer ones wait meanwhile."""
        if self._spool is None or self._fetching is not None:
            return
        if self.channels is not None:
            self.channels["iopub"].hold()
        self._fetching = asyncio.create_task(self._fetch(self._spool))

    def take_left(self, folder: Path) -> None:
        """Take what the kernel, which has ended, left in the files of its spool, and remove them."""
        if not folder.is_dir():
            return
        published: list[Published] = []
        for number, frames in read_left(folder, self._last):
            if number > self._last + 1:
                self._journal.note_gap(number - self._last - 1)
            self._add(published, frames, number)
        self._hand_on(published, has_gap=True)
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Fetch no more, and leave the spool."""
        if self._fetching is not None:
            self._fetching.cancel()
        if self._checking is not None:
            self._checking.cancel()
        if self._spool is not None:
            self._spool.close()

    async def _fetch(self, spool: Spool) -> None:
        published: list[Published] = []
        has_gap, size = False, 0
        try:
            async for kept in spool.fetch(after=self._last):
                if isinstance(kept, Dropped):
                    self._journal.note_gap(kept.messages, kept.data_bytes)
                    self._last = kept.last
                    has_gap = True
                    continue
                self._add(published, kept, _number(kept))
                size += sum(map(len, kept))
                if size > STRETCH_BYTES:
                    ready, published = published, []
                    self._hand_on(ready, has_gap=has_gap)
                    has_gap, size = False, 0
        except (OSError, EOFError, TimeoutError) as error:
            # The kernel has just ended, or does not give what it kept.
            logger.warning("What a kernel kept cannot be fetched: %s", error)
        held, self._held, self._fetching = self._held, [], None
        first = _number(held[0]) if held else None
        if first is not None and first > self._last + 1:
            self._journal.note_gap(first - self._last - 1)
            has_gap = True
            self._add(published, held.pop(0), first)
        self._hand_on(published, has_gap=has_gap)
        self.take(held)
        if self._fetching is None and self.channels is not None:
            self.channels["iopub"].resume()

    def _add(self, published: list[Published], frames: Frames, number: int | None) -> None:
        if number is not None:
            if number <= self._last:
                return
            self._last = number
        try:
            _, parts = self._signer.unpack(frames)
            header, parent = read_header(parts), parent_id(parts)
        except BadMessageError as error:
            logger.warning("A message that a kernel published is left out: %s", error.reason)
            return
        self.session = header.session
        self._heard.set()
        if header.msg_type == WELCOME:
            return
        size = sum(map(len, parts))
        if size > MOST_OUTGOING:
            parts = too_big(parts, size, MOST_OUTGOING, session=self.session)
            header, size = read_header(parts), sum(map(len, parts))
        own = None if number is None else self._base + number
        place = self._journal.append("iopub", parts, parent=parent, kernel_number=own)
        published.append(Published(place, header, parent, parts, size))

    def _hand_on(self, published: list[Published], *, has_gap: bool) -> None:
        if not published and not has_gap:
            return
        self._forward(published, has_gap)
        if self._spool is not None:
            # What only memory has would go with this process.
            if not self._journal.failing:
                self._spool.acknowledge(self._last, sum(message.size for message in published))
            self._burst += len(published)
            if self._burst > BURST_MESSAGES and self._checking is None:
                self._check_when_quiet(self._last - 1)

    def _check_when_quiet(self, last: int) -> None:
        """Once nothing has come for a while after a burst, ask whether that was all."""
        if last == self._last:
            self._burst, self._checking = 0, None
            self.fetch()
        else:
            self._checking = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._check_when_quiet, self._last)


def left_folder(journal: Journal) -> Path:
    """Return the folder in which a kernel leaves what it still had when it ended, beside its journal."""
    return KernelFiles(journal.folder.parent).spool


def recover_left(journal: Journal) -> None:
    """Journal what a kernel left that ended while no host was there. Its key is gone: the files are private."""

    def keep(published: list[Published], has_gap: bool) -> None:
        journal.flush()

    Output(Signer(b""), journal, None, keep, asyncio.Event()).take_left(left_folder(journal))


def _number(frames: Frames) -> int | None:
    """Return the kernel's own number of a message, which forked kernels put right before the delimiter."""
    for frame, following in pairwise(frames[:4]):
        if following == DELIMITER and frame.startswith(NUMBER_MARK):
            digits = frame[len(NUMBER_MARK) :]
            # Beyond it would be another life's.
            return int(digits) if digits.isdigit() and len(digits) < len(str(LIFE)) else None
    return None
