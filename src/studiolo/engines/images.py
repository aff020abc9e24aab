"""Capability of engines: images made from environments (see docs/decisions/015)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

Say = Callable[[str], None]
# Brings the files that an image is made of: `PINS`, a list of requirements with hashes, and their wheels beside it.
Fetch = Callable[[], Awaitable[Path]]

PINS = "pins.txt"
# Where an image has its environment; in it, MADE_OF says of which lock it is (see runtime.rebuild).
ENVIRONMENT = "/opt/environment"


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """An environment to be made into an image. `lock`: its hash; `python`: `3.11`.

    `base`: what to begin from; None: what sessions have. `workspace`: its name, untrusted text.
    """

    workspace_id: str
    workspace: str
    lock: str
    python: str
    base: str | None = None


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is there. `tag`: the last part of its name, which tells it from others of its workspace."""

    workspace_id: str
    name: str
    tag: str
    id: str
    base: str
    lock: str
    size: int
    made_at: datetime


class ImageBuilder(Protocol):
    """Makes images. All but `name` raise Unavailable (`engine-unavailable`, `image-failed`).

    `most`: how many a workspace may have. `registry`: where pushed images go; empty where none is set.
    """

    @property
    def most(self) -> int: ...

    @property
    def registry(self) -> str: ...

    def name(self, order: ImageOrder) -> str:
        """Return the name that the order's image has or will have. Raises InvalidInput (`image-not-allowed`)."""
        ...

    async def build(self, order: ImageOrder, fetch: Fetch, say: Say) -> BuiltImage:
        """Make an image, or find the one that was made of the same; `fetch` is called if there is something to do.

        Raises InvalidInput (`image-not-allowed`, `image-unfit`), and what `fetch` raises. Cancelled, it leaves nothing.
        """
        ...

    async def push(self, image: BuiltImage, say: Say) -> None:
        """Bring an image to the registry. Raises Unavailable (`image-not-pushed`)."""
        ...

    async def list_(self, workspace_id: str | None = None) -> Sequence[BuiltImage]:
        """Return the images of a workspace, or all that this platform had made; newest first."""
        ...

    async def tidy(self) -> None:
        """Remove what is left of builds that were cut off. Repeatable."""
        ...

    async def remove(self, image: BuiltImage) -> None:
        """Remove an image; one that is gone is success. Raises Conflict (`image-in-use`)."""
        ...


@runtime_checkable
class BuildsImages(Protocol):
    """Capability: makes images of environments."""

    images: ImageBuilder
