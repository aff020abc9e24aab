"""A pod's own output, as its node keeps it."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from studiolo.engines.kubernetes.api import ClusterAPI, RefusedError
from studiolo.engines.kubernetes.manifests import CONTAINER
from studiolo.runtime import rebuild

# No container yet, or no pod any more.
_NO_LOG = (400, 404)
_SILENCE_SECONDS = 5.0
_MOST_LINE = 64 << 10
_LAST_LINES = 20


async def tail(api: ClusterAPI, pod: str, lines: int) -> list[str]:
    """Return the last lines, oldest first; none of a pod that has no log."""
    if lines <= 0:
        return []
    kept: deque[str] = deque(maxlen=lines)
    async for line in _read(api, pod, seconds=_SILENCE_SECONDS, tailLines=lines):
        kept.append(line)
    return list(kept)


async def follow(api: ClusterAPI, pod: str, lines: int) -> AsyncIterator[str]:
    """Yield the last lines, then each new one until the container has ended. What the node has dropped is not told."""
    async for line in _read(api, pod, seconds=None, tailLines=max(0, lines), follow="true"):
        yield line


async def find_making(api: ClusterAPI, pod: str) -> str | None:
    """Return how far a pod is that makes its environment, a sentence; None if it does not."""
    for line in reversed(await tail(api, pod, _LAST_LINES)):
        if line.startswith(rebuild.OVER):
            return None
        if line.startswith(rebuild.PROGRESS):
            return line if line.endswith(".") else f"{line}."
    return None


async def _read(api: ClusterAPI, pod: str, *, seconds: float | None, **query: Any) -> AsyncIterator[str]:
    try:
        async with api.lines(f"{api.path('pods', pod)}/log", seconds=seconds, container=CONTAINER, **query) as written:
            async for line in written:
                yield line[:_MOST_LINE].decode(errors="replace").rstrip("\r")
    except RefusedError as refused:
        if refused.status not in _NO_LOG:
            raise
