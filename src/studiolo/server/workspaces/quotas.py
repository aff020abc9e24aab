"""Workspaces held to their disk size by the file system, where it has project quotas. Blocking."""

from functools import cached_property
from pathlib import Path

import structlog

from studiolo.kit import quotas
from studiolo.runtime.acting import owner_of

_log = structlog.get_logger(__name__)


class FolderQuotas:
    """Sets limits on folders below `place` that belong to a number of their own (decision 012), which files then carry.

    Without such a number sessions run as root, which ext4 refuses nothing, or with rights that may set no limits.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._limits: dict[int, int] = {}

    def holds(self, folder: Path) -> bool:
        """Tell whether what goes beyond the disk size of the workspace in a folder is refused. Raises OSError."""
        return self.is_enforced and folder.parent == self._place and owner_of(folder) is not None

    def hold(self, folder: Path, most_bytes: int | None) -> int | None:
        """Have a folder take at most so many bytes, None: any; return what it uses. None where nothing holds it."""
        try:
            owner = owner_of(folder) if self.holds(folder) else None
            if owner is None:
                return None
            number = owner[0]
            if quotas.number_of(folder) != number:
                quotas.mark(folder, number)
            if self._limits.get(number) != (most_bytes or 0):
                quotas.limit(folder, number, most_bytes or 0)
                self._limits[number] = most_bytes or 0
            return quotas.used(folder, number)
        except OSError as exc:
            _log.warning("disk-size-not-held", folder=str(folder), message=str(exc))
            return None

    @cached_property
    def is_enforced(self) -> bool:
        """Whether the file system of these folders has such limits."""
        return quotas.is_enforced(self._place)
