"""What one was told."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web.render import local, render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router

router = pages_router()
_HERE = "/notifications"
_Reads = Annotated[Principal, Depends(Allow("notification.read"))]


@router.get(_HERE)
async def show(
    request: Request,
    who: Annotated[Principal, Depends(Allow("notification.list"))],
    services: ServicesOf,
    cursor: Cursor = None,
) -> Response:
    """All of it, newest first."""
    found = await services.notifications.list_(who, cursor=cursor, limit=PAGE_SIZE)
    pages = pager(_HERE, found.next_cursor, cursor)
    return await render(request, "notifications.html", who, notifications=found.items, **pages)


@router.post(f"{_HERE}/read")
async def read(who: _Reads, services: ServicesOf) -> Response:
    """Mark all as seen."""
    await services.notifications.read(who)
    return see(_HERE)


@router.post(f"{_HERE}/{{notification}}/open")
async def open_(notification: str, who: _Reads, services: ServicesOf) -> Response:
    """Mark one as seen, and go where it leads."""
    found = await services.notifications.open(who, notification)
    return see(local(found.link))
