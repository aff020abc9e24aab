"""Searches at the file host: keeps each workspace's index fresh, and says how fresh it is."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

import structlog

from studiolo.contract.file_search import FileSearch
from studiolo.files.root import Root
from studiolo.files.search.finding import MAX_HITS, find
from studiolo.files.workers.pool import WorkerPool, WorkFailed

# Who types asks often; files are looked at again after this.
_FRESH_SECONDS = 2.0
# How long an answer waits for the look at the files: little where there is an index, longer for the first.
_WAIT_SECONDS = 0.15
_FIRST_WAIT_SECONDS = 2.0
_KEPT_SECONDS = 30 * 24 * 3600.0
_log = structlog.get_logger(__name__)


class Searches:
    """Finds files by name and content. Indexes are kept in `folder`, one for each workspace, while they are used."""

    def __init__(self, folder: Path, pool: WorkerPool) -> None:
        self._folder = folder
        self._pool = pool
        self._checked: dict[str, float] = {}
        self._scans: dict[str, asyncio.Task[None]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clear()

    async def search(
        self, workspace: str, root: Root, text: str, *, within: str = "", limit: int = 50, wait: float | None = None
    ) -> FileSearch:
        """Return what fits `text` in the workspace with this id, whose folder is open as `root` (see finding).

        The files' change times are looked at first; after `wait` seconds (None: a moment) the answer is of what is
        known then, and says so: `checked_at`, `waiting`.
        """
        index = self._folder / f"{workspace}.sqlite"
        # Whoever releases space may have taken it.
        is_there = index.exists()
        if not is_there or time.monotonic() - self._checked.get(workspace, -_FRESH_SECONDS) >= _FRESH_SECONDS:
            scan = self._scan(workspace, root, index)
            if wait is None:
                wait = _WAIT_SECONDS if is_there else _FIRST_WAIT_SECONDS
            await asyncio.wait({scan}, timeout=wait)
        return await asyncio.to_thread(find, index, text, within=within, limit=max(1, min(limit, MAX_HITS)))

    def _scan(self, workspace: str, root: Root, index: Path) -> asyncio.Task[None]:
        if (under_way := self._scans.get(workspace)) is None:
            under_way = asyncio.create_task(self._bring_up_to_date(workspace, os.dup(root.handle), index))
            self._scans[workspace] = under_way
            under_way.add_done_callback(lambda _: self._scans.pop(workspace, None))
        return under_way

    async def _bring_up_to_date(self, workspace: str, folder: int, index: Path) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self._pool.do("index", folder, index=str(index))
            self._checked[workspace] = time.monotonic()
        except WorkFailed as exc:
            # What was indexed until then is kept; the answer says since when it was not looked at.
            _log.warning("index-failed", workspace=workspace, reason=exc.reason, detail=exc.detail[:500])
        finally:
            os.close(folder)

    async def close(self) -> None:
        """Give up what is under way; what was indexed is kept."""
        for scan in list(self._scans.values()):
            scan.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await scan

    def _clear(self) -> None:
        """Remove indexes that nobody has asked for long: their workspaces may be gone."""
        for file in self._folder.iterdir():
            if time.time() - file.stat().st_mtime > _KEPT_SECONDS:
                file.unlink(missing_ok=True)
