"""For administrators: what runs, that which was idle longest first, and stopping it with a note."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import Session
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.home import ALIVE
from studiolo.server.web.presentation import last_used
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Inspects = Annotated[Principal, Depends(Allow("platform.inspect"))]
_MOST_LISTED = 200


@router.get("/admin/sessions")
async def show(request: Request, who: _Inspects, services: ServicesOf) -> Response:
    """All that runs."""
    return await _show(request, who, services)


@router.post("/admin/sessions/{session}/stop")
async def stop(
    request: Request,
    session: str,
    who: Annotated[Principal, Depends(Allow("session.stop"))],
    services: ServicesOf,
    note: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Stop somebody's session; the note is what they read."""
    try:
        stopped = await services.sessions.stop(who, session, note=note.strip() or None)
        # So that the page that follows shows the result.
        await services.sessions.wait(who, stopped, 1.0)
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem)
    return see("/admin/sessions", "stopping")


def longest_idle_first(sessions: list[Session]) -> list[Session]:
    """Return them in the order in which one would stop them: busy ones last."""

    def place(session: Session) -> tuple[bool, datetime]:
        activity = session.activity
        return bool(activity and (activity.busy_kernels or activity.busy_terminals)), last_used(session)

    return sorted(sessions, key=place)


async def _show(
    request: Request, who: Principal, services: Services, *, problem: StudioloError | None = None
) -> Response:
    found = await services.sessions.list_(who, states=ALIVE, everything=True, limit=_MOST_LISTED)
    return await render(
        request,
        "admin_sessions.html",
        who,
        status=status_of(problem),
        sessions=longest_idle_first(found.items),
        has_more=found.next_cursor is not None,
        problem=problem,
        canonical="/admin/sessions" if problem else None,
    )
