"""REST of backups, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from studiolo.contract.backups import BackupProgress, Backups
from studiolo.server.backup.service import BackupService
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/admin/backups", tags=["platform"])
_Service = Annotated[BackupService, Depends(service("backups"))]


@router.get("")
async def list_backups(who: Annotated[Principal, Depends(Allow("backup.list"))], backups: _Service) -> Backups:
    """Backups on the platform's machine, newest first, and how the one that is being made goes."""
    return await backups.list_(who)


@router.post("", status_code=202)
async def start_backup(who: Annotated[Principal, Depends(Allow("backup.create"))], backups: _Service) -> BackupProgress:
    """Begin a backup of the whole platform; it is made in the background."""
    return await backups.start(who)


@router.delete("/current", status_code=204)
async def cancel_backup(who: Annotated[Principal, Depends(Allow("backup.cancel"))], backups: _Service) -> Response:
    """Cancel the backup that is being made; nothing of it stays."""
    await backups.cancel(who)
    return Response(status_code=204)
