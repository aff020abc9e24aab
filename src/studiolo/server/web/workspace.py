"""One workspace: its sessions and its activity."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web.render import render
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router

router = pages_router()
_Reads = Annotated[Principal, Depends(Allow("workspace.read"))]


@router.get("/w/{workspace}/sessions")
async def sessions(
    request: Request, workspace: str, who: _Reads, services: ServicesOf, cursor: Cursor = None
) -> Response:
    """A workspace: its sessions."""
    own = await services.workspaces.get(who, workspace)
    found = await services.sessions.list_(who, workspace=own.id, cursor=cursor, limit=PAGE_SIZE)
    pages = pager(f"/w/{own.id}/sessions", found.next_cursor, cursor)
    unread = await services.kernels.list_unread(who, workspace=own.id)
    return await render(
        request, "workspace_sessions.html", who, workspace=own, sessions=found.items, unread=len(unread), **pages
    )


@router.get("/w/{workspace}/activity")
async def activity(
    request: Request, workspace: str, who: _Reads, services: ServicesOf, cursor: Cursor = None
) -> Response:
    """A workspace: what happened, newest first."""
    own = await services.workspaces.get(who, workspace)
    events = await services.workspaces.activity(who, own.id, cursor=cursor, limit=PAGE_SIZE)
    pages = pager(f"/w/{own.id}/activity", events.next_cursor, cursor)
    return await render(request, "workspace_activity.html", who, workspace=own, events=events.items, **pages)
