"""When the outputs of cells go into their notebook: while nobody who could save it is connected."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from studiolo.gateway.filling.cells import Cells
from studiolo.gateway.filling.notebooks import Outcome, Record, Saved, write
from studiolo.gateway.journals.journal import Journal

_LONGEST_PAUSE_SECONDS = 600.0


class NotebookSaver:
    """Decides, for one kernel, when its notebook is written, and writes it.

    Where the last client left is kept beside the journal, so that a restarted host goes on. Nothing is written for
    `grace_seconds` after that, since a page that is loaded anew is back at once, nor for `lost_seconds` if its
    connection broke, since a page that is open on a sleeping computer should not find its file changed. Then it is
    written when the kernel is done, and while it is busy after `every_seconds`, twice that, and so on: a page that
    has just read the file and not connected yet should rarely find it changed. `now`: monotonic seconds.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        every_seconds: float = 30,
        grace_seconds: float = 60,
        lost_seconds: float = 900,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._every_seconds = self._pause_seconds = every_seconds
        self._grace_seconds = grace_seconds
        self._lost_seconds = lost_seconds
        self._now = now
        self._file = journal.folder / "unsaved-after"
        self._is_connected = False
        self._not_before = now() + grace_seconds
        # Until there somebody saw everything; until there the notebook has it.
        self._after, self._saved = self._recall()
        self._saved_at = -every_seconds
        self._is_busy = self._was_busy = True

    def clients_changed(self, count: int, *, is_lost: bool = False) -> None:
        """Be told how many clients are connected; to be called before anything more is appended.

        `is_lost`: the last one vanished instead of closing its connection.
        """
        if bool(count) == self._is_connected:
            return
        self._is_connected = bool(count)
        if not count:
            self._not_before = self._now() + (self._lost_seconds if is_lost else self._grace_seconds)
            self._after, self._saved = self._journal.last, -1
            self._was_busy = True
            self._pause_seconds = self._every_seconds
        self._remember()

    def is_due(self, *, is_busy: bool) -> bool:
        """Tell whether `save` should be called now. Cheap: ask every second or so. `is_busy`: whether a cell runs."""
        self._is_busy = is_busy
        now = self._now()
        if self._is_connected or self._journal.last <= self._saved or now < self._not_before:
            return False
        has_just_finished = self._was_busy and not is_busy
        return has_just_finished or now >= self._saved_at + self._pause_seconds

    async def save(self, cells: Cells, root: Path, path: str, record: Record | None = None) -> Outcome | None:
        """Write into the notebook `path` beneath `root` what nobody saw or saved.

        `cells`: of the same journal; read on here, in steps. `record`: see notebooks.merge. None: a client came
        meanwhile. A conflict is tried again when it is due again.
        """
        has_more = cells.advance()
        while has_more:
            await asyncio.sleep(0)
            has_more = cells.advance()
        if self._is_connected:
            return None
        is_busy, last = self._is_busy, cells.last
        self._saved_at = self._now()
        outcome = await asyncio.to_thread(write, root, path, cells.since(-1), record, after=self._after)
        if outcome.saved is not Saved.CONFLICT:
            self._saved = max(self._saved, last)
            self._was_busy = is_busy
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
        return outcome

    def _recall(self) -> tuple[int, int]:
        try:
            return min(int(self._file.read_text()), self._journal.last), -1
        except (OSError, ValueError):
            return self._journal.last, self._journal.last

    def _remember(self) -> None:
        """Keep the place while nobody is there. A disk that cannot be written costs only that."""
        with suppress(OSError):
            if self._is_connected:
                self._file.unlink(missing_ok=True)
            else:
                self._file.write_text(str(self._after))
