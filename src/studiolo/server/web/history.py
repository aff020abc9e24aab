"""What a file was, how it differs from what it is now, and a workspace's deleted files."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.contract.versions import FileDifference
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_Reads = Annotated[Principal, Depends(Allow("file.read"))]
_Restores = Annotated[Principal, Depends(Allow("file.restore"))]
_Path = Annotated[str, Query(max_length=8192)]
_Text = Annotated[str, Form(max_length=8192)]
# Where a version is from, in words; what is said of the others says itself who wrote them.
_ORIGINS = {
    "session": "saved",
    "kernel": "output of a kernel that ran on",
    "upload": "uploaded",
    "restore": "brought back",
    "outside": "written outside JupyterLab",
    "conflict": "not saved: the file had changed meanwhile",
}


@router.get("/w/{workspace}/history")
async def history(
    request: Request,
    workspace: str,
    who: _Reads,
    services: ServicesOf,
    path: _Path = "",
    before: Annotated[str, Query(alias="from", max_length=40)] = "",
    after: Annotated[str, Query(alias="to", max_length=40)] = "now",
    cursor: Cursor = None,
) -> Response:
    """The versions of a file; with `from`, how one of them differs."""
    return await _show(request, who, services, workspace, path, before=before, after=after, cursor=cursor)


@router.post("/w/{workspace}/history/restore")
async def restore(
    request: Request, workspace: str, who: _Restores, services: ServicesOf, path: _Text = "", version: _Text = ""
) -> Response:
    """Have the file be what a version holds."""
    try:
        await services.file_versions.restore(who, workspace, path, version)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, path, problem=problem)
    return see(f"/w/{workspace}/history?{urlencode({'path': path})}", "restored")


@router.get("/w/{workspace}/file-trash")
async def file_trash(
    request: Request, workspace: str, who: _Reads, services: ServicesOf, cursor: Cursor = None
) -> Response:
    """Deleted files and folders that can come back."""
    return await _show_trash(request, who, services, workspace, cursor=cursor)


@router.post("/w/{workspace}/file-trash/{trash_id}/restore")
async def restore_deleted(
    request: Request, workspace: str, trash_id: str, who: _Restores, services: ServicesOf
) -> Response:
    """Bring something back."""
    try:
        await services.file_versions.restore_deleted(who, workspace, trash_id)
    except StudioloError as problem:
        return await _show_trash(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/file-trash", "restored")


@router.post("/w/{workspace}/file-trash/{trash_id}/erase")
async def erase(
    request: Request,
    workspace: str,
    trash_id: str,
    who: Annotated[Principal, Depends(Allow("file.erase"))],
    services: ServicesOf,
    name: _Text = "",
    typed: _Text = "",
) -> Response:
    """Erase something for good, when its name was typed."""
    try:
        if typed.strip() != name:
            raise InvalidInput(
                "confirmation-needed", f"Erasing cannot be undone: type its name, {name[:255]!r}, to confirm."
            )
        await services.file_versions.erase(who, workspace, trash_id)
    except StudioloError as problem:
        return await _show_trash(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/file-trash", "erased")


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str,
    path: str,
    *,
    before: str = "",
    after: str = "now",
    cursor: str | None = None,
    problem: StudioloError | None = None,
) -> Response:
    own = await services.workspaces.get(who, workspace)
    found = await services.file_versions.list_(who, own.id, path, cursor=cursor, limit=PAGE_SIZE)
    difference: FileDifference | None = None
    if before and problem is None:
        try:
            difference = await services.file_versions.difference(who, own.id, path, before=before, after=after)
        except StudioloError as exc:
            problem = exc
    address = f"/w/{own.id}/history"
    return await render(
        request,
        "workspace_history.html",
        who,
        status=status_of(problem),
        workspace=own,
        path=path,
        versions=found.items,
        origins=_ORIGINS,
        compared=next((version for version in found.items if version.id == before), None),
        difference=difference,
        problem=problem,
        canonical=f"{address}?{urlencode({'path': path})}" if problem else None,
        **pager(address, found.next_cursor, cursor, {"path": path}),
    )


async def _show_trash(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str,
    *,
    cursor: str | None = None,
    problem: StudioloError | None = None,
) -> Response:
    own = await services.workspaces.get(who, workspace)
    found = await services.file_versions.list_trash(who, own.id, cursor=cursor, limit=PAGE_SIZE)
    address = f"/w/{own.id}/file-trash"
    return await render(
        request,
        "workspace_file_trash.html",
        who,
        status=status_of(problem),
        workspace=own,
        deleted=found.items,
        problem=problem,
        canonical=address if problem else None,
        **pager(address, found.next_cursor, cursor),
    )
