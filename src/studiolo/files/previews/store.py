"""Previews kept by content, so that what was shown once is shown again at once."""

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path

import structlog

from studiolo.files.previews.page import notice
from studiolo.files.workers.pool import WorkerPool, WorkFailed

# Part of every kept preview's name: raise it when previews look different from before.
VERSION = 2
# Larger files are known by number, size and times: to read all of one takes longer than its preview.
_MAX_HASHED = 64 * 2**20
_MOST_KNOWN = 10_000
# A file that was too much for a busy machine may be tried again after this.
_REFUSAL_SECONDS = 600.0

_log = structlog.get_logger(__name__)


class Previews:
    """Makes previews by workers and keeps them in `folder`, at most `most_bytes`; the longest unused go first."""

    def __init__(self, folder: Path, pool: WorkerPool, *, most_bytes: int = 512 * 2**20) -> None:
        self._folder = folder
        self._pool = pool
        self._most_bytes = most_bytes
        self._hashes: dict[tuple[int, ...], str] = {}
        self._making: dict[str, asyncio.Task[Path]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def preview(self, source: int, name: str) -> Path:
        """Return the file with the HTML document that shows a file: `source` open for reading, `name` its last part.

        What cannot be shown gives a document that says so. Serve it only with `Content-Security-Policy: sandbox`.
        """
        key = await self._key(source, name)
        if (kept := self._find(key)) is not None:
            return kept
        if (making := self._making.get(key)) is None:
            # Whoever asked first may leave before it is made; its descriptor goes with them.
            making = asyncio.create_task(self._make(os.dup(source), name, key))
            self._making[key] = making
            making.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(making)

    def _find(self, key: str) -> Path | None:
        kept, refused = self._folder / f"{key}.html", self._folder / f"{key}.refused.html"
        with contextlib.suppress(FileNotFoundError):
            # When it was last used is the time of access: the other one is part of what browsers know it by.
            os.utime(kept, ns=(time.time_ns(), kept.stat().st_mtime_ns))
            return kept
        with contextlib.suppress(FileNotFoundError):
            if time.time() - refused.stat().st_mtime < _REFUSAL_SECONDS:
                return refused
        return None

    async def _key(self, source: int, name: str) -> str:
        seen = os.fstat(source)
        identity = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        content = self._hashes.get(identity)
        if content is None:
            if seen.st_size <= _MAX_HASHED:
                content = await asyncio.to_thread(_hash, source)
            else:
                content = repr(identity)
            if len(self._hashes) >= _MOST_KNOWN:
                self._hashes.clear()
            self._hashes[identity] = content
        return hashlib.sha256(f"{VERSION}\0{content}\0{name}".encode(errors="surrogateescape")).hexdigest()

    async def _make(self, source: int, name: str, key: str) -> Path:
        # Somebody who tidied may have taken the folder.
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, part = tempfile.mkstemp(dir=self._folder, suffix=".part")
        failed = None
        try:
            await self._pool.do("preview", source, descriptor, name=name)
        except WorkFailed as exc:
            _log.warning("preview-failed", reason=exc.reason, detail=exc.detail[:500])
            failed = exc
        finally:
            os.close(source)
            os.close(descriptor)
        return await asyncio.to_thread(self._keep, Path(part), key, failed)

    def _keep(self, part: Path, key: str, failed: WorkFailed | None) -> Path:
        kept = self._folder / f"{key}.html"
        if failed is not None:
            kept = self._folder / f"{key}.refused.html"
            part.write_text(_refusal(failed), encoding="utf-8")
        part.replace(kept)
        self._make_room(kept)
        return kept

    def _make_room(self, newest: Path) -> None:
        found = []
        for file in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                seen = file.stat()
                # What a killed host left half made.
                if file.suffix == ".part" and time.time() - seen.st_mtime > _REFUSAL_SECONDS:
                    file.unlink(missing_ok=True)
                    continue
                found.append((seen.st_atime, seen.st_size, file))
        total = sum(size for _, size, _ in found)
        for _, size, file in sorted(found):
            if total <= self._most_bytes:
                return
            if file != newest and file.suffix == ".html":
                file.unlink(missing_ok=True)
                total -= size


def _hash(source: int) -> str:
    digest, at = hashlib.sha256(), 0
    while piece := os.pread(source, 2**20, at):
        digest.update(piece)
        at += len(piece)
    return digest.hexdigest()


def _refusal(failed: WorkFailed) -> str:
    why = {
        "memory": "Showing it would take more memory than a preview may use.",
        "died": "Showing it would take more time or memory than a preview may use.",
    }
    return notice(
        "There is no preview of this file.",
        why.get(failed.reason, "Its content is not what its name promises, or is damaged."),
        "Download it, or open it in JupyterLab.",
    )
