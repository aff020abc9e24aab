"""A pod's own output, as its node keeps it."""

from collections.abc import AsyncIterator

from studiolo.engines.kubernetes.api import ClusterAPI, RefusedError
from studiolo.engines.kubernetes.manifests import CONTAINER

# No container yet, or no pod any more.
_NO_LOG = (400, 404)


async def tail(api: ClusterAPI, pod: str, lines: int) -> list[str]:
    """Return the last lines, oldest first; none of a pod that has no log."""
    if lines <= 0:
        return []
    try:
        text = await api.text(f"{api.path('pods', pod)}/log", container=CONTAINER, tailLines=lines)
    except RefusedError as refused:
        if refused.status in _NO_LOG:
            return []
        raise
    return text.splitlines()[-lines:]


async def follow(api: ClusterAPI, pod: str, lines: int) -> AsyncIterator[str]:
    """Yield the last lines, then each new one until the container has ended. What the node has dropped is not told."""
    path = f"{api.path('pods', pod)}/log"
    try:
        query = {"container": CONTAINER, "tailLines": max(0, lines), "follow": "true"}
        async with api.lines(path, seconds=None, **query) as written:
            async for line in written:
                yield line.decode(errors="replace").rstrip("\r\n")
    except RefusedError as refused:
        if refused.status not in _NO_LOG:
            raise
