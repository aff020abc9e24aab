"""Differences at the file host: finds both contents and has a worker compare them."""

import asyncio
import os
from pathlib import Path

import structlog

from studiolo.contract.errors import Unavailable
from studiolo.files.past import read_content
from studiolo.files.workers.pool import WorkerPool, WorkFailed

_log = structlog.get_logger(__name__)


class Differences:
    """Compares what a file holds and held."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def compare(self, folder: Path, path: str, before: str, after: str) -> bytes:
        """Return a FileDifference as JSON; `before` and `after` are ids of versions, or `now`.

        Raises NotFound (`version-not-found`, `file-not-found`), errors of Root, Unavailable (`difference-failed`).
        """
        contents = [await asyncio.to_thread(read_content, folder, path, which) for which in (before, after)]
        return await asyncio.shield(asyncio.create_task(self._compare(contents, path, [before, after])))

    async def _compare(self, contents: list[bytes], path: str, names: list[str]) -> bytes:
        files = [os.memfd_create("difference") for _ in range(3)]
        try:
            for descriptor, content in zip(files, contents, strict=False):
                await asyncio.to_thread(_fill, descriptor, content)
            await self._pool.do("difference", *files, path=path, names=names)
            with os.fdopen(os.dup(files[2]), "rb") as answer:
                answer.seek(0)
                return answer.read()
        except WorkFailed as exc:
            _log.warning("difference-failed", reason=exc.reason, detail=exc.detail[:500])
            raise Unavailable(
                "difference-failed",
                f"The two versions of {path[:300]!r} could not be compared in the time and memory there is for that.",
                hint="Download both and compare them on your computer, or in JupyterLab.",
            ) from exc
        finally:
            for descriptor in files:
                os.close(descriptor)


def _fill(descriptor: int, content: bytes) -> None:
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
