"""REST of workspaces and members. `{workspace}` is an id, a name or `owner~name`."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from studiolo.contract import record_table
from studiolo.contract.models import (
    AuditEvent,
    Member,
    MemberSet,
    Page,
    Workspace,
    WorkspaceCreate,
    WorkspaceUpdate,
)
from studiolo.server.http.etags import IfMatch, tagged
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.workspaces.cloning import Clones
from studiolo.server.workspaces.members import Members
from studiolo.server.workspaces.register import is_former
from studiolo.server.workspaces.service import Workspaces

router = APIRouter(prefix="/jupyter/workspaces", tags=["workspaces"])
_CSV = "text/csv; charset=utf-8"
_AT_ONCE = 200
_Workspaces = Annotated[Workspaces, Depends(service("workspaces"))]
_Members = Annotated[Members, Depends(service("members"))]


@router.get("")
async def list_workspaces(
    who: Annotated[Principal, Depends(Allow("workspace.list"))],
    workspaces: _Workspaces,
    q: Annotated[str | None, Query(max_length=100, description="Part of the name.")] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    everything: Annotated[bool, Query(alias="all", description="All of the platform (administrators).")] = False,
) -> Page[Workspace]:
    """Workspaces you belong to, by name."""
    return await workspaces.list_(who, text=q, cursor=cursor, limit=limit, everything=everything)


@router.post("", status_code=201, response_model=Workspace)
async def create_workspace(
    request: Request,
    response: Response,
    form: WorkspaceCreate,
    who: Annotated[Principal, Depends(Allow("workspace.create"))],
    clones: Annotated[Clones, Depends(service("clones"))],
) -> object:
    """Create a workspace; you become its owner.

    `config_file` may hold the text of a workspace-config.yaml; what is given beside it wins.
    """
    return tagged(request, response, await clones.create(who, form))


@router.get("/{workspace}", response_model=Workspace, responses={304: {"description": "Unchanged (If-None-Match)."}})
async def get_workspace(
    request: Request,
    response: Response,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.read"))],
    workspaces: _Workspaces,
) -> object:
    """One workspace. Its ETag names its state; an address that it had answers 308 to the present one."""
    found = await workspaces.get(who, workspace)
    if is_former(workspace, found):
        there = request.url.path.rpartition("/")[0]
        return RedirectResponse(f"{there}/{found.owner.name}~{found.name}", status_code=308)
    return tagged(request, response, found)


@router.patch("/{workspace}", response_model=Workspace)
async def update_workspace(
    request: Request,
    response: Response,
    workspace: str,
    form: WorkspaceUpdate,
    revision: IfMatch,
    who: Annotated[Principal, Depends(Allow("workspace.update"))],
    workspaces: _Workspaces,
) -> object:
    """Rename or describe it; a former name leads here on."""
    return tagged(request, response, await workspaces.update(who, workspace, form, revision=revision))


@router.delete("/{workspace}", status_code=204)
async def delete_workspace(
    workspace: str,
    revision: IfMatch,
    who: Annotated[Principal, Depends(Allow("workspace.delete"))],
    workspaces: _Workspaces,
    stop_sessions: bool = False,
) -> Response:
    """Put it into the trash; running sessions must be stopped first, or are with `stop_sessions`."""
    await workspaces.delete(who, workspace, stop_sessions=stop_sessions, revision=revision)
    return Response(status_code=204)


@router.get("/{workspace}/members")
async def list_members(
    workspace: str, who: Annotated[Principal, Depends(Allow("member.list"))], members: _Members
) -> list[Member]:
    """Who has access."""
    return await members.list_members(who, workspace)


@router.put("/{workspace}/members")
async def set_member(
    workspace: str,
    form: MemberSet,
    who: Annotated[Principal, Depends(Allow("member.set"))],
    members: _Members,
) -> Member:
    """Give somebody a role, or change it."""
    return await members.set_member(who, workspace, form)


@router.delete("/{workspace}/members/{person}", status_code=204)
async def remove_member(
    workspace: str,
    person: str,
    who: Annotated[Principal, Depends(Allow("member.remove"))],
    members: _Members,
) -> Response:
    """Take somebody's access away; their sessions here end."""
    await members.remove_member(who, workspace, person)
    return Response(status_code=204)


@router.get("/{workspace}/activity")
async def list_activity(
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.read"))],
    workspaces: _Workspaces,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Page[AuditEvent]:
    """What happened in it, newest first."""
    return await workspaces.activity(who, workspace, cursor=cursor, limit=limit)


@router.get("/{workspace}/activity.csv", response_class=StreamingResponse, responses={200: {"content": {_CSV: {}}}})
async def export_activity(
    workspace: str, who: Annotated[Principal, Depends(Allow("workspace.read"))], workspaces: _Workspaces
) -> StreamingResponse:
    """All that happened in it, newest first, as a table for spreadsheets."""
    first = await workspaces.activity(who, workspace, limit=_AT_ONCE)

    async def lines() -> AsyncIterator[str]:
        yield record_table.head()
        page = first
        yield "".join(record_table.lines(page.items))
        while page.next_cursor is not None:
            page = await workspaces.activity(who, workspace, cursor=page.next_cursor, limit=_AT_ONCE)
            yield "".join(record_table.lines(page.items))

    return StreamingResponse(
        lines(), media_type=_CSV, headers={"Content-Disposition": 'attachment; filename="activity.csv"'}
    )
