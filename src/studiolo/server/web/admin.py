"""Pages for administrators: health, and the record of changes."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web.render import render
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router

router = pages_router()


@router.get("/admin")
async def health(
    request: Request, who: Annotated[Principal, Depends(Allow("platform.inspect"))], services: ServicesOf
) -> Response:
    """Whether all is well, and what is used."""
    found, engines = await services.inspection.health(who), await services.inspection.engines(who)
    return await render(request, "health.html", who, health=found, engines=engines)


@router.get("/admin/audit")
async def audit(
    request: Request,
    who: Annotated[Principal, Depends(Allow("audit.list"))],
    services: ServicesOf,
    cursor: Cursor = None,
) -> Response:
    """What was changed, newest first."""
    found = await services.audit.list_(who, cursor=cursor, limit=PAGE_SIZE)
    pages = pager("/admin/audit", found.next_cursor, cursor)
    return await render(request, "audit.html", who, events=found.items, **pages)
