"""REST of the disk, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends

from studiolo.contract.disk import DiskUsage, FreedSpace, FreeSpace
from studiolo.server.disk.service import Disk
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/admin/disk", tags=["platform"])
_Disk = Annotated[Disk, Depends(service("disk"))]


@router.get("")
async def disk_usage(who: Annotated[Principal, Depends(Allow("disk.read"))], disk: _Disk) -> DiskUsage:
    """What fills the platform's disk, and the largest workspaces."""
    return await disk.usage(who)


@router.post("/free")
async def free_space(
    who: Annotated[Principal, Depends(Allow("disk.free"))], disk: _Disk, form: FreeSpace | None = None
) -> FreedSpace:
    """Release what can be made or loaded again; `discarded` and `trash` only when they are named."""
    return await disk.free(who, form or FreeSpace())
