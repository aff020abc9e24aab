"""REST of the less frequent dealings: sizes, configuration, records, copies, transfer, reset, trash."""

from typing import Annotated, Any, Literal

import yaml
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from studiolo.contract.details import (
    Duplicate,
    Reset,
    Transfer,
    TrashedWorkspace,
    WorkspaceExport,
    WorkspaceMetadata,
    WorkspaceStats,
)
from studiolo.contract.models import Page, Workspace
from studiolo.contract.resources import Scale, WorkspaceLimits
from studiolo.server.http.etags import IfMatch, tagged
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.workspaces.copies import Copies
from studiolo.server.workspaces.members import Members
from studiolo.server.workspaces.records import Records
from studiolo.server.workspaces.resets import Resets
from studiolo.server.workspaces.sizes import Sizes
from studiolo.server.workspaces.trash import Trash

router = APIRouter(prefix="/jupyter/workspaces/{workspace}", tags=["workspaces"])
trash_router = APIRouter(prefix="/jupyter/trash", tags=["trash"])
_Sizes = Annotated[Sizes, Depends(service("sizes"))]
_Records = Annotated[Records, Depends(service("records"))]
_Resets = Annotated[Resets, Depends(service("resets"))]
_Trash = Annotated[Trash, Depends(service("trash"))]
_Reads = Annotated[Principal, Depends(Allow("workspace.read"))]
_Scales = Annotated[Principal, Depends(Allow("workspace.scale"))]
_YAML = "text/yaml"
_EXAMPLE = {_YAML: {"schema": {"type": "string"}, "example": "resources:\n  cpu: 4\n  memory: 8g\n"}}
_FILE: dict[int | str, dict[str, Any]] = {200: {"content": _EXAMPLE, "description": "The file."}}
_FILE_BODY = {"required": True, "content": _EXAMPLE, "description": "The file; it replaces the one before."}
# The document brings its own style and nothing else; what is in it runs nowhere.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox"


@router.get("/limits")
async def get_limits(workspace: str, who: _Reads, sizes: _Sizes) -> WorkspaceLimits:
    """What its next session may use, where that comes from, and the largest that may be asked for."""
    return await sizes.limits(who, workspace)


@router.post("/scale")
async def scale(workspace: str, form: Scale, revision: IfMatch, who: _Scales, sizes: _Sizes) -> WorkspaceLimits:
    """Change what its sessions may use, from their next start on. A profile replaces numbers set before."""
    return await sizes.scale(who, workspace, form, revision=revision)


@router.get("/config", response_class=PlainTextResponse, responses=_FILE)
async def get_config(workspace: str, who: _Reads, sizes: _Sizes) -> Response:
    """Its configuration as a workspace-config.yaml."""
    return PlainTextResponse(await sizes.read_file(who, workspace), media_type=_YAML)


@router.put("/config", response_model=Workspace, openapi_extra={"requestBody": _FILE_BODY})
async def put_config(
    request: Request,
    response: Response,
    workspace: str,
    revision: IfMatch,
    who: _Scales,
    sizes: _Sizes,
) -> object:
    """Replace its configuration. Each fault of the file is listed with line, column and key."""
    content = await request.body()
    return tagged(request, response, await sizes.write_file(who, workspace, content, revision=revision))


@router.get("/metadata")
async def get_metadata(workspace: str, who: _Reads, records: _Records) -> WorkspaceMetadata:
    """Dates, experiments, use, packages and the notebooks that were run."""
    return await records.metadata(who, workspace)


@router.get("/export", response_model=WorkspaceExport, responses={200: {"content": {_YAML: {}}}})
async def export(
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.export"))],
    records: _Records,
    format: Literal["json", "yaml"] = "json",
) -> Response:
    """Its description for another platform, as a file: no files of its people, no secrets."""
    found = await records.export(who, workspace)
    if format == "yaml":
        text = yaml.safe_dump(found.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    else:
        text = found.model_dump_json(indent=2)
    kind = "application/json" if format == "json" else _YAML
    name = f"{found.metadata.name}.{format}"
    return Response(text, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.get("/stats")
async def get_stats(workspace: str, who: _Reads, records: _Records) -> WorkspaceStats:
    """What its sessions use now, and used."""
    return await records.stats(who, workspace)


@router.get("/report", response_class=HTMLResponse)
async def report(workspace: str, who: _Reads, records: _Records) -> HTMLResponse:
    """All that is known as one HTML document that needs no other file."""
    text = await records.report(who, workspace)
    return HTMLResponse(text, headers={"Content-Security-Policy": _REPORT_POLICY})


@router.post("/duplicate", status_code=201, response_model=Workspace)
async def duplicate(
    request: Request,
    response: Response,
    workspace: str,
    form: Duplicate,
    who: Annotated[Principal, Depends(Allow("workspace.duplicate"))],
    copies: Annotated[Copies, Depends(service("copies"))],
) -> object:
    """Copy its files and configuration to a new workspace of yours, with an environment of its own."""
    return tagged(request, response, await copies.duplicate(who, workspace, form))


@router.post("/transfer", response_model=Workspace)
async def transfer(
    request: Request,
    response: Response,
    workspace: str,
    form: Transfer,
    revision: IfMatch,
    who: Annotated[Principal, Depends(Allow("workspace.transfer"))],
    members: Annotated[Members, Depends(service("members"))],
) -> object:
    """Make another member its owner; the old one stays as editor, and the old address leads to the new one."""
    return tagged(request, response, await members.transfer(who, workspace, form, revision=revision))


@router.post("/reset", response_model=Workspace)
async def reset(
    request: Request,
    response: Response,
    workspace: str,
    form: Reset,
    revision: IfMatch,
    who: Annotated[Principal, Depends(Allow("workspace.reset"))],
    resets: _Resets,
    stop_sessions: bool = False,
) -> object:
    """Have its environment made anew; `hard` also ends sessions and clears caches. Notebooks and data stay."""
    changed = await resets.reset(who, workspace, form, stop_sessions=stop_sessions, revision=revision)
    return tagged(request, response, changed)


@router.post("/clear-cache")
async def clear_cache(
    workspace: str, who: Annotated[Principal, Depends(Allow("workspace.reset"))], resets: _Resets
) -> dict[str, int]:
    """Delete what its tools can make or load again; answers `{"freed": BYTES}`. Files of people stay."""
    return {"freed": await resets.clear_cache(who, workspace)}


@trash_router.get("")
async def list_trash(
    who: Annotated[Principal, Depends(Allow("trash.list"))],
    trash: _Trash,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[TrashedWorkspace]:
    """Your deleted workspaces, with the time after which each is erased."""
    return await trash.list_(who, cursor=cursor, limit=limit)


@trash_router.post("/{workspace_id}/restore", response_model=Workspace)
async def restore(
    request: Request,
    response: Response,
    workspace_id: str,
    who: Annotated[Principal, Depends(Allow("trash.restore"))],
    trash: _Trash,
) -> object:
    """Bring a deleted workspace back with its files and members."""
    return tagged(request, response, await trash.restore(who, workspace_id))


@trash_router.delete("/{workspace_id}", status_code=204)
async def erase(
    workspace_id: str,
    who: Annotated[Principal, Depends(Allow("trash.erase"))],
    trash: _Trash,
    confirm: Annotated[str | None, Query(max_length=63, description="Its name.")] = None,
) -> Response:
    """Erase a deleted workspace now, for good."""
    await trash.erase(who, workspace_id, confirm=confirm)
    return Response(status_code=204)
