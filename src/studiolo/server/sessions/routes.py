"""REST of sessions. `{session}` is an id, a name, `workspace~name`, or a workspace with one session."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from studiolo.contract.lab import Here, HereNow
from studiolo.contract.models import (
    Activity,
    Page,
    Request,
    Session,
    SessionLaunch,
    SessionLog,
    SessionStart,
    SessionState,
    SessionStop,
)
from studiolo.contract.resources import WorkspaceHistory
from studiolo.contract.shape import Moment
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.sessions import stream_routes
from studiolo.server.sessions.here import Lab
from studiolo.server.sessions.history import UsageHistory
from studiolo.server.sessions.reports import Reports
from studiolo.server.sessions.service import MAX_WAIT_SECONDS, Sessions

_Sessions = Annotated[Sessions, Depends(service("sessions"))]
_Wait = Annotated[
    float,
    Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to hold the answer until the session has settled."),
]
_Cursor = Annotated[str | None, Query(max_length=500)]
_Limit = Annotated[int, Query(ge=1, le=200)]
_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Launch = Annotated[Principal, Depends(Allow("session.launch"))]
_List = Annotated[Principal, Depends(Allow("session.list"))]

collection = APIRouter(tags=["sessions"])
of_workspace = APIRouter(prefix="/jupyter/workspaces/{workspace}/sessions", tags=["sessions"])
reports = APIRouter(tags=["sessions"])
collection.include_router(stream_routes.router)


@of_workspace.get("")
async def list_of_workspace(
    workspace: str,
    who: _List,
    sessions: _Sessions,
    state: Annotated[list[SessionState] | None, Query()] = None,
    cursor: _Cursor = None,
    limit: _Limit = 50,
) -> Page[Session]:
    """A workspace's sessions, newest first."""
    return await sessions.list_(who, workspace=workspace, states=state or (), cursor=cursor, limit=limit)


@of_workspace.get("/usage")
async def usage_of_workspace(
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.usage"))],
    history: Annotated[UsageHistory, Depends(service("usage_history"))],
) -> WorkspaceHistory:
    """What its sessions used: hours of the last week, days of a year."""
    return await history.get(who, workspace)


@of_workspace.post("", status_code=201)
async def launch_in_workspace(
    workspace: str, who: _Launch, sessions: _Sessions, form: SessionLaunch | None = None, wait: _Wait = 0
) -> Session:
    """Launch a session in this workspace."""
    form = (form or SessionLaunch()).model_copy(update={"workspace": workspace})
    return await sessions.wait(who, await sessions.launch(who, form), wait)


@collection.get("")
async def list_sessions(
    who: _List,
    sessions: _Sessions,
    workspace: Annotated[str | None, Query(max_length=4096)] = None,
    state: Annotated[list[SessionState] | None, Query()] = None,
    everything: Annotated[bool, Query(alias="all", description="Not only your own.")] = False,
    cursor: _Cursor = None,
    limit: _Limit = 50,
) -> Page[Session]:
    """Your sessions, newest first."""
    return await sessions.list_(
        who, workspace=workspace, states=state or (), everything=everything, cursor=cursor, limit=limit
    )


@collection.post("", status_code=201)
async def launch(form: SessionLaunch, who: _Launch, sessions: _Sessions, wait: _Wait = 0) -> Session:
    """Launch a session in the workspace (or folder) that the body names."""
    return await sessions.wait(who, await sessions.launch(who, form), wait)


@collection.get("/{session}")
async def get_session(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.read"))],
    sessions: _Sessions,
    wait: _Wait = 0,
) -> Session:
    """One session."""
    return await sessions.get(who, session, wait_seconds=wait)


@collection.delete("/{session}", status_code=204)
async def delete_session(
    session: str, who: Annotated[Principal, Depends(Allow("session.delete"))], sessions: _Sessions
) -> Response:
    """Forget a session that ended."""
    await sessions.delete(who, session)
    return Response(status_code=204)


@collection.post("/{session}/start")
async def start_session(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.start"))],
    sessions: _Sessions,
    form: SessionStart | None = None,
    wait: _Wait = 0,
) -> Session:
    """Start a session that ended, with more or less than before if the body says so."""
    resources = form.resources if form else None
    return await sessions.wait(who, await sessions.start(who, session, resources=resources), wait)


@collection.post("/{session}/stop")
async def stop_session(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.stop"))],
    sessions: _Sessions,
    form: SessionStop | None = None,
    wait: _Wait = 0,
) -> Session:
    """Stop a session, also one that only starts; its files stay."""
    return await sessions.wait(who, await sessions.stop(who, session, note=form.note if form else None), wait)


@collection.post("/{session}/restart")
async def restart_session(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.restart"))],
    sessions: _Sessions,
    form: SessionStart | None = None,
    wait: _Wait = 0,
) -> Session:
    """End its server and kernels, start anew, with more or less than before if the body says so."""
    resources = form.resources if form else None
    return await sessions.wait(who, await sessions.restart(who, session, resources=resources), wait)


@collection.get("/{session}/log")
async def session_log(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.log"))],
    sessions: _Sessions,
    lines: Annotated[int, Query(ge=1, le=2000)] = 200,
) -> SessionLog:
    """The end of its log."""
    return await sessions.log(who, session, lines=lines)


class Report(Request):
    """What a session's own extension reports."""

    kernels: _Count = 0
    busy_kernels: _Count = 0
    terminals: _Count = 0
    busy_terminals: _Count = 0
    connections: _Count = 0
    last_active_at: Moment | None = None
    notebook: Annotated[str, Field(max_length=4096)] | None = None
    notebook_at: Moment | None = None
    kernels_survive: bool = True
    environment_note: Annotated[str, Field(max_length=4096)] = ""


@reports.post("/sessions/{session}/report", status_code=204)
async def report(
    session: str,
    form: Report,
    who: Annotated[Principal, Depends(Allow("session.read"))],
    taker: Annotated[Reports, Depends(service("session_reports"))],
) -> Response:
    """Taken from the session itself only, by its own key."""
    told = form.model_dump(exclude={"notebook_at"})
    activity = Activity(reported_at=datetime.now(UTC), **told)
    await taker.report(who, session, activity, notebook_at=form.notebook_at)
    return Response(status_code=204)


@reports.post("/sessions/{session}/here")
async def here(
    session: str,
    form: Here,
    who: Annotated[Principal, Depends(Allow("session.read"))],
    lab: Annotated[Lab, Depends(service("lab"))],
) -> HereNow:
    """What JupyterLab shows of the platform; asked by the session itself only, with its own key."""
    return await lab.tell(who, session, form)
