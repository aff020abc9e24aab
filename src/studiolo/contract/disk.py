"""What fills the platform's disk, and what of it can go."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from studiolo.contract.models import Request, Wire, WorkspaceRef

Freeable = Literal["caches", "previews", "logs", "packages", "discarded", "trash"]


class DiskPart(Wire):
    """One kind of what lies in the data directory. `free_as`: the word by which it can be released."""

    name: str
    size: int = Field(description="Bytes on disk; of files that share blocks each counts.")
    words: str
    free_as: Freeable | None = None


class WorkspaceSize(Wire):
    """A workspace's files."""

    workspace: WorkspaceRef
    size: int
    measured_at: datetime


class DiskUsage(Wire):
    """The data directory's disk. `free` is what the platform can still use."""

    total: int
    free: int
    is_nearly_full: bool
    parts: list[DiskPart]
    largest: list[WorkspaceSize]
    measured: bool = Field(description="False while some sizes are not known: looking took too long.")
    limits: str = Field(description="Whether sizes of workspaces are enforced here or only measured.")


class FreeSpace(Request):
    """What to release. Left out: what can be made or loaded again (`caches`, `previews`, `logs`)."""

    what: list[Freeable] = Field(default=["caches", "previews", "logs"], min_length=1, max_length=6)


class FreedSpace(Wire):
    """Bytes released, by what was asked for."""

    freed: dict[Freeable, int]
    free: int = Field(description="Bytes free now.")
