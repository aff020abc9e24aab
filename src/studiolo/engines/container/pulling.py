"""Fetching images, and how much of one is here or there by now."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiodocker import Docker

from studiolo.engines.container.daemon import Daemon

# Of large images; what takes longer hangs.
PULL_SECONDS = 3600.0


async def pull(daemon: Daemon, image: str, say: Callable[[str], None]) -> None:
    """Fetch an image; `say` gets sentences. Raises Unavailable, RefusedError."""
    say(f"Fetching the image {image}.")
    progress = LayerProgress()

    async def fetch(docker: Docker) -> None:
        steps: AsyncIterator[dict[str, Any]] = docker.images.pull(image, stream=True)
        async for step in steps:
            if (percent := progress.add(step)) is not None:
                say(f"Fetching the image {image}: {percent} %.")

    await daemon.ask(fetch, seconds=PULL_SECONDS)


class LayerProgress:
    """How much of an image's layers has come or gone: {status, id, progressDetail: {current, total}} each."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._percent = -1

    def add(self, step: dict[str, Any]) -> int | None:
        """Return the percentage if this step has changed it."""
        detail = step.get("progressDetail") or {}
        with contextlib.suppress(KeyError, TypeError, ValueError):
            self._layers[str(step["id"])] = int(detail["current"]), int(detail["total"])
        total = sum(size for _, size in self._layers.values())
        if not total:
            return None
        percent = min(100, 100 * sum(done for done, _ in self._layers.values()) // total)
        is_news, self._percent = percent > self._percent, max(percent, self._percent)
        return percent if is_news else None
