"""REST of what files were: versions, differences, the trash of a workspace."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Response

from studiolo.contract.models import Page
from studiolo.contract.versions import DeletedFile, FileDifference, FileVersion, RestoredFile
from studiolo.server.files.versions import FileVersions
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/jupyter/workspaces/{workspace}/files", tags=["files"])
_FileVersions = Annotated[FileVersions, Depends(service("file_versions"))]
_Reads = Annotated[Principal, Depends(Allow("file.read"))]
_Restores = Annotated[Principal, Depends(Allow("file.restore"))]
_Path = Annotated[str, Query(min_length=1, max_length=8192, description="Relative to the workspace's folder.")]
_Cursor = Annotated[str | None, Query(max_length=500)]
_Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("/versions")
async def list_versions(
    workspace: str, who: _Reads, versions: _FileVersions, path: _Path, cursor: _Cursor = None, limit: _Limit = 50
) -> Page[FileVersion]:
    """What a file was, newest first; also of one that is gone."""
    return await versions.list_(who, workspace, path, cursor=cursor, limit=limit)


@router.get("/versions/{version}", response_class=Response)
async def read_version(workspace: str, version: str, who: _Reads, versions: _FileVersions, path: _Path) -> Response:
    """The content of a version, as a download."""
    content = await versions.content(who, workspace, path, version)
    name = quote(path.rpartition("/")[2])
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "Content-Security-Policy": "sandbox"}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.post("/versions/{version}/restore")
async def restore_version(
    workspace: str, version: str, who: _Restores, versions: _FileVersions, path: _Path
) -> FileVersion:
    """Have the file be what a version holds; what it holds now stays as a version."""
    return await versions.restore(who, workspace, path, version)


@router.get("/difference")
async def difference(
    workspace: str,
    who: _Reads,
    versions: _FileVersions,
    path: _Path,
    before: Annotated[str, Query(alias="from", max_length=40, description="Id of a version, or `now`.")],
    after: Annotated[str, Query(alias="to", max_length=40, description="Id of a version, or `now`.")] = "now",
) -> FileDifference:
    """How a file differs between two versions: cell by cell in notebooks, else line by line."""
    return await versions.difference(who, workspace, path, before=before, after=after)


@router.get("/trash")
async def list_deleted(
    workspace: str, who: _Reads, versions: _FileVersions, cursor: _Cursor = None, limit: _Limit = 50
) -> Page[DeletedFile]:
    """Deleted files and folders that can come back, newest first."""
    return await versions.list_trash(who, workspace, cursor=cursor, limit=limit)


@router.post("/trash/{trash_id}/restore")
async def restore_deleted(workspace: str, trash_id: str, who: _Restores, versions: _FileVersions) -> RestoredFile:
    """Bring something back; where its place is in use again, beside that."""
    return await versions.restore_deleted(who, workspace, trash_id)


@router.delete("/trash/{trash_id}", status_code=204)
async def erase_deleted(
    workspace: str, trash_id: str, who: Annotated[Principal, Depends(Allow("file.erase"))], versions: _FileVersions
) -> Response:
    """Erase something in the trash for good."""
    await versions.erase(who, workspace, trash_id)
    return Response(status_code=204)
