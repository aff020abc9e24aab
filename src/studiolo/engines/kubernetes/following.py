"""Following a kind of objects: listed once, watched from there on, listed anew when the watch cannot tell.

Source: Kubernetes, "API Concepts": efficient detection of changes, watch bookmarks, 410 Gone.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from studiolo.contract.errors import Unavailable
from studiolo.engines.kubernetes.api import ClusterAPI, Object, RefusedError, items_of, read_object
from studiolo.engines.kubernetes.refusals import unreadable

_log = logging.getLogger(__name__)
# The server ends a watch after that many seconds, so that a connection that died in silence is known soon after.
_WATCH_SECONDS = 60
_SILENCE_SECONDS = 75.0
_RESYNC_SECONDS = 900.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
# The server has forgotten what is asked for.
_GONE = 410


class Keeps(Protocol):
    """What is told of the objects. None of the calls may wait."""

    def listed(self, objects: list[Object], version: str) -> None:
        """Take all that there are, as of `version`; what is not among them is gone."""
        ...

    def changed(self, kind: str, item: Object) -> None:
        """Take a change: ADDED, MODIFIED or DELETED."""
        ...

    def shrink(self, item: Object) -> Object:
        """Return of a listed object what `listed` needs, so that a long list takes little."""
        ...


class Follower:
    """Follows one path of the API for as long as it runs. `problem`: why nothing is known now, None if all is well."""

    def __init__(self, api: ClusterAPI, path: str, query: Mapping[str, Any], keeps: Keeps) -> None:
        self._api = api
        self._path = path
        self._query = query
        self._keeps = keeps
        self._version = ""
        self._listed_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self.problem: Unavailable | None = None

    def begin(self) -> None:
        """Follow from now on; repeatable."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def wait_for_answer(self, *, seconds: float) -> bool:
        """Wait until the API has answered once or cannot be reached; returns whether it was one of both in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._answered.wait()
        return self._answered.is_set()

    async def aclose(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._step()
                pause = _FIRST_PAUSE
                continue
            except Unavailable as exc:
                self._fail(exc)
            except RefusedError as exc:
                # A list costs a server that is busy more than the watch that it could not give.
                if not exc.is_passing:
                    self._version = ""
                self._fail(exc.as_unavailable())
            except Exception as exc:
                # Nobody else would start this loop again.
                _log.exception("the watch of %s failed", self._path)
                self._fail(unreadable(repr(exc)))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _step(self) -> None:
        if not self._version or time.monotonic() - self._listed_at > _RESYNC_SECONDS:
            await self._list()
        await self._watch()

    async def _list(self) -> None:
        try:
            objects, version = await self._collect()
        except RefusedError as exc:
            # A page's place in a long list is forgotten after minutes: once more from its beginning.
            if exc.status != _GONE:
                raise
            objects, version = await self._collect()
        self._version = version
        self._listed_at = time.monotonic()
        self._keeps.listed(objects, version)
        self._succeed()

    async def _collect(self) -> tuple[list[Object], str]:
        objects: list[Object] = []
        version = ""
        async for page in self._api.pages(self._path, **self._query):
            objects.extend(map(self._keeps.shrink, items_of(page)))
            version = str(page["metadata"]["resourceVersion"])
        return objects, version

    async def _watch(self) -> None:
        """Take changes until the server ends the watch: as asked, or when it has forgotten our version."""
        query = {**self._query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": _WATCH_SECONDS}
        try:
            watching = self._api.lines(self._path, seconds=_SILENCE_SECONDS, resourceVersion=self._version, **query)
            async with watching as lines:
                self._succeed()
                async for line in lines:
                    self._take(line)
        except RefusedError as exc:
            # Timeout: the server's own state is older than ours, as after a restoration.
            if exc.status not in (_GONE, 504):
                raise
            self._version = ""

    def _take(self, line: bytes) -> None:
        try:
            event = read_object(line)
            kind, item = event["type"], event["object"]
            if kind != "ERROR":
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    self._keeps.changed(kind, item)
                self._version = version
        except Exception:
            # What cannot be read is asked for anew, by a list.
            self._version = ""
            raise
        if kind == "ERROR":
            raise RefusedError(item.get("code", 500), item.get("reason", ""), item.get("message", ""))

    def _succeed(self) -> None:
        self.problem = None
        self._answered.set()

    def _fail(self, problem: Unavailable) -> None:
        if self.problem is None:
            _log.warning("the watch of %s is interrupted: %s", self._path, problem.detail)
        self.problem = problem
        self._answered.set()
