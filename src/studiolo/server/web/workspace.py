"""One workspace: its sessions and activity, and the one click that opens it."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import Session, SessionLaunch, SessionState
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web import forms
from studiolo.server.web.home import ALIVE
from studiolo.server.web.presentation import last_used
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_Reads = Annotated[Principal, Depends(Allow("workspace.read"))]
_Text = Annotated[str, Form(max_length=4000)]


@router.get("/w/{workspace}")
async def sessions(
    request: Request, workspace: str, who: _Reads, services: ServicesOf, cursor: Cursor = None
) -> Response:
    """A workspace: its sessions."""
    return await _show_sessions(request, who, services, workspace, cursor=cursor)


@router.post("/w/{workspace}/open")
async def open_(
    workspace: str, who: Annotated[Principal, Depends(Allow("session.launch"))], services: ServicesOf
) -> Response:
    """One click: go to the person's session here, resume their last, or start a first."""
    own = await services.workspaces.get(who, workspace)
    found = await services.sessions.list_(who, workspace=own.id, limit=200)
    session = choose_session([session for session in found.items if session.person.id == who.person_id])
    if session is None:
        session = await services.sessions.launch(who, SessionLaunch(workspace=own.id))
    elif session.desired != "running":
        session = await services.sessions.start(who, session.id)
    return see(f"/go/{session.id}")


@router.post("/w/{workspace}/sessions")
async def launch(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("session.launch"))],
    services: ServicesOf,
    name: _Text = "",
    password: _Text = "",
) -> Response:
    """Start another session here."""
    try:
        form = forms.read(SessionLaunch, workspace=workspace, name=name.strip() or None, password=password or None)
        session = await services.sessions.launch(who, form)
    except StudioloError as problem:
        return await _show_sessions(request, who, services, workspace, problem=problem, form={"name": name})
    return see(f"/go/{session.id}")


@router.get("/w/{workspace}/activity")
async def activity(
    request: Request, workspace: str, who: _Reads, services: ServicesOf, cursor: Cursor = None
) -> Response:
    """A workspace: what happened, newest first."""
    own = await services.workspaces.get(who, workspace)
    events = await services.workspaces.activity(who, own.id, cursor=cursor, limit=PAGE_SIZE)
    pages = pager(f"/w/{own.id}/activity", events.next_cursor, cursor)
    return await render(request, "workspace_activity.html", who, workspace=own, events=events.items, **pages)


def choose_session(own: list[Session]) -> Session | None:
    """Return the session that Open means: one that runs, else the last used; one that is ending never."""
    usable = [session for session in own if session.state is not SessionState.STOPPING]
    alive = [session for session in usable if session.state in ALIVE and session.desired == "running"]
    return max(alive or usable, key=last_used, default=None)


async def _show_sessions(
    request: Request,
    who: Principal,
    services: ServicesOf,
    reference: str,
    *,
    cursor: str | None = None,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    own = await services.workspaces.get(who, reference)
    found = await services.sessions.list_(who, workspace=own.id, cursor=cursor, limit=PAGE_SIZE)
    return await render(
        request,
        "workspace_sessions.html",
        who,
        status=status_of(problem),
        workspace=own,
        sessions=found.items,
        problem=problem,
        canonical=f"/w/{own.id}" if problem else None,
        form=form or {"name": ""},
        **pager(f"/w/{own.id}", found.next_cursor, cursor),
    )
