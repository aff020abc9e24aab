"""Engines: where sessions run, how each is, what is free there."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web.render import render
from studiolo.server.web.routing import ServicesOf, pages_router

router = pages_router()


@router.get("/engines")
async def show(
    request: Request, who: Annotated[Principal, Depends(Allow("engine.list"))], services: ServicesOf
) -> Response:
    """All of them, the default first."""
    return await render(request, "engines.html", who, engines=await services.inspection.engines(who))
