"""Which kernel an id means, and whether the caller may do something with it."""

import re

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Denied, NotFound
from studiolo.contract.operations import OPERATIONS, Role
from studiolo.server.kernels import queries
from studiolo.server.principal import Principal
from studiolo.server.workspaces.access import Access

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# What others than a session's own person may do with the kernels in it: as with the session itself.
_OF_EVERYBODY = frozenset({"kernel.read"})
_OF_OWNERS = frozenset({"kernel.read", "kernel.stop", "kernel.log"})


class KernelLookup:
    """Finds kernels and authorises. A kernel in a session carries the power of the session's person."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def resolve(self, connection: AsyncConnection, who: Principal, kernel_id: str, operation: str) -> RowMapping:
        """Return a described row (see queries). Raises NotFound (`kernel-not-found`), Denied."""
        return (await self.resolve_with_role(connection, who, kernel_id, operation))[0]

    async def resolve_with_role(
        self, connection: AsyncConnection, who: Principal, kernel_id: str, operation: str
    ) -> tuple[RowMapping, Role | None]:
        """The same, with the caller's role on its workspace."""
        who.require(operation)
        row = await queries.find(connection, kernel_id.lower()) if is_kernel_id(kernel_id) else None
        if row is None or row["workspace_deleted_at"] is not None:
            raise not_found(kernel_id)
        role = await self._access.role(connection, who.person_id, row["workspace_id"])
        who.require_on(
            operation,
            role,
            workspace_id=row["workspace_id"],
            missing=not_found(kernel_id),
            owner=row["owner_display_name"],
        )
        if row["session_id"] and role is not None and row["person_id"] != who.person_id:
            open_to_them = _OF_OWNERS if role is Role.OWNER else _OF_EVERYBODY
            if operation not in open_to_them and not (who.is_admin and operation == "kernel.stop"):
                raise _not_theirs(row, operation)
        return row, role


def is_kernel_id(text: str) -> bool:
    """Tell whether `text` has the shape of a kernel's id."""
    return bool(_UUID.fullmatch(text.lower()))


def not_found(kernel_id: str) -> NotFound:
    """The error for a kernel that is not there, or not for this caller."""
    shown = kernel_id if len(kernel_id) <= 80 else kernel_id[:80] + "…"
    return NotFound(
        "kernel-not-found",
        f"There is no kernel {shown!r} that you can see.",
        hint="studiolo kernels list shows those you can see.",
    )


def _not_theirs(row: RowMapping, operation: str) -> Denied:
    name = row["person_display_name"]
    return Denied(
        "denied",
        f"This kernel belongs to a session of {name}: to {OPERATIONS[operation].summary.lower()} is for them alone.",
        hint=f"Ask {name}, or start a kernel of your own in this workspace.",
    )
