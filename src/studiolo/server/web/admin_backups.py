"""For administrators: backups, and making one."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_HERE = "/admin/backups"


@router.get(_HERE)
async def show(
    request: Request, who: Annotated[Principal, Depends(Allow("backup.list"))], services: ServicesOf
) -> Response:
    """Those there are, newest first."""
    return await _show(request, who, services)


@router.post(_HERE)
async def start(
    request: Request, who: Annotated[Principal, Depends(Allow("backup.create"))], services: ServicesOf
) -> Response:
    """Begin one."""
    try:
        await services.backups.start(who)
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem)
    return see(_HERE, "backup-begun")


@router.post(f"{_HERE}/cancel")
async def cancel(
    request: Request, who: Annotated[Principal, Depends(Allow("backup.cancel"))], services: ServicesOf
) -> Response:
    """Cancel the one that is being made."""
    try:
        await services.backups.cancel(who)
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem)
    return see(_HERE, "cancelled")


async def _show(
    request: Request, who: Principal, services: Services, *, problem: StudioloError | None = None
) -> Response:
    return await render(
        request,
        "admin_backups.html",
        who,
        status=status_of(problem),
        backups=await services.backups.list_(who),
        health=await services.backups.health(),
        problem=problem,
        canonical=_HERE if problem else None,
    )
