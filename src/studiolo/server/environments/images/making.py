"""Images that are being made, and how those went that were asked for since this process began."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog

from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.contract.images import EnvironmentImage
from studiolo.engines.images import PINS, BuiltImage, ImageBuilder, ImageOrder
from studiolo.packages.installed.lock import Lock
from studiolo.runtime.recipes import Recipe
from studiolo.server.environments.client_wheel import NAME, write_client_wheel
from studiolo.server.environments.images.fetching import Access, fetch

_log = structlog.get_logger(__name__)
# Each takes a processor and the disk; others wait their turn.
_AT_ONCE = 2
_MOST_REMEMBERED = 200
_UNDER_WAY = ("building", "pushing")


class Record(Protocol):
    """Writes an audit event of one image."""

    async def __call__(self, action: str, name: str, /, **detail: Any) -> None:
        """Write it."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made, for whom, and by whom. `open_index`: how its files are fetched from the index."""

    order: ImageOrder
    builder: ImageBuilder
    recipe: Recipe
    lock: Lock
    push: bool
    open_index: Callable[[], Awaitable[Access]]
    record: Record


@dataclass
class _Work:
    """One image that is being made, or was."""

    wire: EnvironmentImage
    wanted: Wanted
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def is_under_way(self) -> bool:
        return self.wire.state in _UNDER_WAY


class Making:
    """Makes images. `scratch`: a folder for files on their way; `on_change`: gets the workspace's id."""

    def __init__(self, scratch: Path, on_change: Callable[[str], None]) -> None:
        self._scratch = scratch
        self._on_change = on_change
        self._works: dict[tuple[str, str], _Work] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def is_busy(self, workspace_id: str) -> bool:
        """Tell whether an image of a workspace is being made."""
        return any(one.is_under_way for (of, _), one in self._works.items() if of == workspace_id)

    def list_(self, workspace_id: str) -> dict[str, EnvironmentImage]:
        """Return what is known of a workspace's images, by tag."""
        return {tag: one.wire for (of, tag), one in self._works.items() if of == workspace_id}

    def begin(self, wanted: Wanted, name: str) -> EnvironmentImage:
        """Begin to make an image of this name."""
        order, tag = wanted.order, name.rpartition(":")[2]
        wire = EnvironmentImage(
            id=tag, name=name, state="building", hash=order.lock, is_live=True, base=order.base or "", size=None,
            made_at=None, progress="Waiting.", left_out=list(wanted.recipe.left_out),
        )  # fmt: skip
        work = _Work(wire, wanted)
        self._works.pop((order.workspace_id, tag), None)
        self._works[order.workspace_id, tag] = work
        for key in [key for key, one in self._works.items() if not one.is_under_way][:-_MOST_REMEMBERED]:
            del self._works[key]
        work.task = asyncio.create_task(self._run(work))
        return wire

    async def wait(self, workspace_id: str, tag: str, seconds: float) -> EnvironmentImage | None:
        """Return an image that is still under way after so many seconds; None: none is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (work := self._works.get((workspace_id, tag))) is not None and work.is_under_way:
            left = deadline - loop.time()
            if left <= 0:
                return work.wire
            try:
                async with asyncio.timeout(left):
                    await work.news.wait()
            except TimeoutError:
                continue
        return None

    async def cancel(self, workspace_id: str, tag: str) -> str | None:
        """Cancel an image that is under way; return its name, None: none is."""
        work = self._works.get((workspace_id, tag))
        if work is None or work.task is None or not work.is_under_way:
            return None
        work.task.cancel()
        await asyncio.gather(work.task, return_exceptions=True)
        return work.wire.name

    def forget(self, workspace_id: str, tag: str) -> bool:
        """Forget how an image went; tell whether that was known."""
        return self._works.pop((workspace_id, tag), None) is not None

    async def close(self) -> None:
        """End what is under way."""
        tasks = [work.task for work in self._works.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, work: _Work) -> None:
        wanted = work.wanted
        changes: dict[str, Any] = {"state": "failed"}
        try:
            async with self._turns:
                image, is_new = await self._make(work)
                if is_new:
                    await wanted.record("image.built", image.name, size=image.size)
                if wanted.push:
                    self._tell(work, state="pushing")
                    await wanted.builder.push(image, lambda line: self._say(work, line))
                    await wanted.record("image.push", image.name)
            said = "It was made." if is_new else "It was there already."
            changes = {"state": "ready", "message": f"{said} It was pushed." if wanted.push else said}
        except asyncio.CancelledError:
            changes = {"state": "cancelled", "code": "image-cancelled", "message": "It was cancelled."}
        except (StudioloError, OSError) as exc:
            error = exc if isinstance(exc, StudioloError) else Unavailable(
                "image-failed", f"Its files could not be written: {exc.strerror or exc}."
            )  # fmt: skip
            changes |= {"code": error.code, "message": f"{error.message} {error.hint or ''}".strip()}
            _log.warning("image-not-made", workspace=wanted.order.workspace_id, code=error.code, message=error.message)
            await wanted.record("image.failed", work.wire.name, code=error.code)
        except Exception:
            changes |= {"code": "internal", "message": "An unexpected fault; the log has the detail."}
            _log.exception("image-not-made", workspace=wanted.order.workspace_id)
        finally:
            self._tell(work, progress=None, **changes)

    async def _make(self, work: _Work) -> tuple[BuiltImage, bool]:
        """Have the engine make it; returns it, and whether there was something to do."""
        wanted, is_new = work.wanted, False
        await asyncio.to_thread(self._scratch.mkdir, mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="files-", dir=self._scratch) as name:

            async def bring() -> Path:
                nonlocal is_new
                is_new = True
                folder = Path(name)
                await fetch(wanted.recipe, await wanted.open_index(), folder, lambda line: self._say(work, line))
                await asyncio.to_thread(_add_client, wanted.lock, folder)
                return folder

            return await wanted.builder.build(wanted.order, bring, lambda line: self._say(work, line)), is_new

    def _say(self, work: _Work, line: str) -> None:
        self._tell(work, progress=line[:500])

    def _tell(self, work: _Work, **changes: Any) -> None:
        work.wire = work.wire.model_copy(update=changes)
        if not work.is_under_way:
            work.news.set()
        self._on_change(work.wanted.order.workspace_id)


def _add_client(lock: Lock, folder: Path) -> None:
    """Add our own client, which no index has, where the environment has it."""
    if any(one.name == NAME and one.origin == "base" for one in lock.packages):
        _, line = write_client_wheel(folder)
        with (folder / PINS).open("a") as pins:
            pins.write(line)
