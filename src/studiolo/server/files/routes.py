"""REST of files but for their bytes, which the file host carries at `/files/{workspace}/…`. Paths go in the query."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from studiolo.contract.files import FileEntry, FileMove, FileSort, FolderMake
from studiolo.contract.models import Page
from studiolo.server.files.service import Files
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/jupyter/workspaces/{workspace}/files", tags=["files"])
_Files = Annotated[Files, Depends(service("files"))]
_Reads = Annotated[Principal, Depends(Allow("file.read"))]
_Writes = Annotated[Principal, Depends(Allow("file.write"))]
_Path = Annotated[str, Query(max_length=8192, description="Relative to the workspace's folder.")]


@router.get("", response_model=Page[FileEntry])
async def list_files(
    workspace: str,
    who: _Reads,
    files: _Files,
    path: _Path = "",
    cursor: Annotated[str | None, Query(max_length=4096)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 200,
    text: Annotated[str | None, Query(alias="filter", max_length=255, description="Part of the name.")] = None,
    sort: FileSort = FileSort.NAME,
) -> Response:
    """What is in a folder, folders first."""
    found = await files.list_(who, workspace, path, cursor=cursor, limit=limit, text=text, sort=sort)
    return Response(found, media_type="application/json")


@router.get("/info")
async def file_info(workspace: str, who: _Reads, files: _Files, path: _Path = "") -> FileEntry:
    """What a path names: kind, size, time, ETag."""
    return await files.info(who, workspace, path)


@router.post("/folders", status_code=201)
async def make_folder(workspace: str, form: FolderMake, who: _Writes, files: _Files) -> FileEntry:
    """Make a folder, with those on the way."""
    return await files.make_folder(who, workspace, form.path)


@router.post("/move")
async def move_file(workspace: str, form: FileMove, who: _Writes, files: _Files) -> FileEntry:
    """Move or rename a file or folder; nothing is overwritten."""
    return await files.move(who, workspace, form.path, form.to)


@router.post("/copy", status_code=201)
async def copy_file(workspace: str, form: FileMove, who: _Writes, files: _Files) -> FileEntry:
    """Copy a file or folder; nothing is overwritten."""
    return await files.copy(who, workspace, form.path, form.to)


@router.delete("", status_code=204)
async def delete_file(workspace: str, who: _Writes, files: _Files, path: _Path) -> Response:
    """Put a file or folder into the workspace's trash."""
    trash_id = await files.delete(who, workspace, path)
    return Response(status_code=204, headers={"Studiolo-Trash": trash_id})
