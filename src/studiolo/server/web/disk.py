"""The disk's page, for administrators."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.disk import Freeable, FreeSpace
from studiolo.contract.errors import StudioloError
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()


@router.get("/admin/disk")
async def show(
    request: Request, who: Annotated[Principal, Depends(Allow("disk.read"))], services: ServicesOf
) -> Response:
    """What fills the disk, and what of it can go."""
    return await _show(request, who, services)


@router.post("/admin/disk/free")
async def free(
    request: Request,
    who: Annotated[Principal, Depends(Allow("disk.free"))],
    services: ServicesOf,
    what: Annotated[list[Freeable] | None, Form()] = None,
) -> Response:
    """Release what was chosen."""
    try:
        await services.disk.free(who, forms.read(FreeSpace, what=what or []))
    except StudioloError as problem:
        return await _show(request, who, services, problem)
    return see("/admin/disk", "freed")


async def _show(request: Request, who: Principal, services: Services, problem: StudioloError | None = None) -> Response:
    usage = await services.disk.usage(who)
    return await render(request, "disk.html", who, status=status_of(problem), usage=usage, problem=problem)
