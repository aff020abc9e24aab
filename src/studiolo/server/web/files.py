"""A workspace's files: the list, one file with its preview, search, and what can be done to them without scripts."""

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.contract.files import FileEntry, FileKind, FileSort
from studiolo.contract.models import Page, Workspace
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.address import lab_address
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_Reads = Annotated[Principal, Depends(Allow("workspace.read"))]
_Writes = Annotated[Principal, Depends(Allow("file.write"))]
_Restores = Annotated[Principal, Depends(Allow("file.restore"))]
_Path = Annotated[str, Form(max_length=8192)]
_Paths = Annotated[list[str], Form(max_length=1000)]
_Text = Annotated[str, Query(max_length=400)]
_PAGE_SIZE = 100
_MOST_HITS = 100
# Browsers and the front door take longer addresses, but not by much.
_LONGEST_ADDRESS = 12_000
_TRASH_ID = re.compile(r"[\w-]{1,64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page of files shows: `path`, `text` to search, and how its folder is listed."""

    path: str = ""
    text: str = ""
    part: str = ""
    sort: FileSort = FileSort.NAME
    cursor: str | None = None


def files_url(workspace: str, path: str = "") -> str:
    """Return the address of a file's or folder's page; empty: of the workspace's files."""
    return f"/w/{workspace}/files/{quote(path)}" if path else f"/w/{workspace}"


@router.get("/w/{workspace}")
@router.get("/w/{workspace}/files")
@router.get("/w/{workspace}/files/{path:path}")
async def show(
    request: Request,
    workspace: str,
    who: _Reads,
    services: ServicesOf,
    path: str = "",
    q: _Text = "",
    part: Annotated[str, Query(alias="filter", max_length=255)] = "",
    sort: FileSort = FileSort.NAME,
    cursor: Cursor = None,
) -> Response:
    """A folder's list, or a file beside its folder's list."""
    own = await services.workspaces.get(who, workspace)
    if own.role is None:
        # Administrators see and mend; they do not look inside.
        return see(f"/w/{own.id}/sessions")
    return await _show(request, who, services, own, Asked(path.strip("/"), q.strip(), part, sort, cursor))


@router.post("/w/{workspace}/make-folder")
async def make_folder(
    request: Request, workspace: str, who: _Writes, services: ServicesOf, folder: _Path = "", name: _Path = ""
) -> Response:
    """Make a folder in a folder, and go there."""
    try:
        if not name.strip():
            raise InvalidInput("name-invalid", "A name is missing.", hint="Say how the folder is called.")
        made = await services.files.make_folder(who, workspace, _join(folder, name.strip()))
    except StudioloError as problem:
        return await _refused(request, who, services, workspace, folder, problem)
    return see(files_url(workspace, made.path), "added")


@router.post("/w/{workspace}/move-file")
async def move(
    request: Request, workspace: str, who: _Writes, services: ServicesOf, path: _Path = "", to: _Path = ""
) -> Response:
    """Rename or move a file or folder, and go where it is."""
    try:
        moved = await services.files.move(who, workspace, path, to.strip())
    except StudioloError as problem:
        return await _refused(request, who, services, workspace, path, problem)
    return see(files_url(workspace, moved.path), "changed")


@router.post("/w/{workspace}/copy-file")
async def copy(
    request: Request, workspace: str, who: _Writes, services: ServicesOf, path: _Path = "", to: _Path = ""
) -> Response:
    """Copy a file or folder, and go to the copy."""
    try:
        made = await services.files.copy(who, workspace, path, to.strip())
    except StudioloError as problem:
        return await _refused(request, who, services, workspace, path, problem)
    return see(files_url(workspace, made.path), "copied")


@router.post("/w/{workspace}/delete-files")
async def delete(
    request: Request, workspace: str, who: _Writes, services: ServicesOf, path: _Paths, folder: _Path = ""
) -> Response:
    """Put files and folders into the trash; the page that follows offers to bring them back."""
    gone: list[str] = []
    try:
        for one in path:
            gone.append(await services.files.delete(who, workspace, one))
    except StudioloError as problem:
        return await _refused(request, who, services, workspace, folder, problem, gone=gone)
    return see(f"{files_url(workspace, folder)}?undo={','.join(gone)}", "deleted")


@router.post("/w/{workspace}/restore-files")
async def restore(
    request: Request, workspace: str, who: _Restores, services: ServicesOf, ids: _Path = "", folder: _Path = ""
) -> Response:
    """Bring back what was just deleted."""
    try:
        for trash_id in ids.split(","):
            await services.file_versions.restore_deleted(who, workspace, trash_id)
    except StudioloError as problem:
        return await _refused(request, who, services, workspace, folder, problem)
    return see(files_url(workspace, folder), "restored")


@router.post("/w/{workspace}/download-files")
async def download(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("file.read"))],
    services: ServicesOf,
    path: _Paths,
    folder: _Path = "",
) -> Response:
    """Go to the archive of what was marked."""
    own = await services.workspaces.get(who, workspace)
    address = f"/files/{own.id}/zip?{urlencode([('path', one) for one in path])}"
    if len(address) > _LONGEST_ADDRESS:
        problem = InvalidInput(
            "request-too-large",
            f"{len(path)} files are too many to choose one by one.",
            hint="Download their folder instead.",
        )
        return await _refused(request, who, services, workspace, folder, problem)
    return RedirectResponse(address, status_code=303)


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    own: Workspace,
    asked: Asked,
    *,
    problem: StudioloError | None = None,
    gone: list[str] | None = None,
) -> Response:
    entry, listed, found = None, Page[FileEntry](items=[], next_cursor=None), None
    folder = asked.path
    try:
        entry = await services.files.info(who, own.id, asked.path)
        if _is_folder(entry):
            entry = None
        else:
            folder = asked.path.rpartition("/")[0]
        listed = await _list(services, who, own.id, folder, asked)
        if asked.text:
            found = await services.file_searches.search(who, own.id, asked.text, within=folder, limit=_MOST_HITS)
    except StudioloError as error:
        # A page of files is also the workspace's: what else it offers must be in reach when the host is away.
        if error.kind == "not-found" and asked.path and problem is None:
            raise
        problem = problem or error
    query = {"filter": asked.part, "sort": asked.sort.value if asked.sort is not FileSort.NAME else ""}
    here = files_url(own.id, asked.path)
    return await render(
        request,
        "workspace_files.html",
        who,
        # With the host away it is still the workspace's page.
        status=200 if problem and problem.kind == "unavailable" else status_of(problem),
        workspace=own,
        asked=asked,
        folder=folder,
        file=entry,
        entries=listed.items,
        crumbs=_crumbs(own.id, folder),
        found=found,
        sorts=[sort.value for sort in FileSort],
        url=lambda path: files_url(own.id, path),
        path_url=quote,
        lab_url=lambda path: lab_address(own, path),
        is_folder=_is_folder,
        join=_join,
        undo_ids=[one for one in (gone or request.query_params.get("undo", "").split(",")) if _TRASH_ID.fullmatch(one)],
        problem=problem,
        canonical=here if request.method == "POST" else None,
        **pager(here, listed.next_cursor, asked.cursor, {name: value for name, value in query.items() if value}),
    )


async def _list(services: Services, who: Principal, workspace: str, folder: str, asked: Asked) -> Page[FileEntry]:
    page = await services.files.list_(
        who, workspace, folder, cursor=asked.cursor, limit=_PAGE_SIZE, text=asked.part or None, sort=asked.sort
    )
    return Page[FileEntry].model_validate_json(page)


async def _refused(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str,
    path: str,
    problem: StudioloError,
    gone: list[str] | None = None,
) -> Response:
    own = await services.workspaces.get(who, workspace)
    return await _show(request, who, services, own, Asked(path), problem=problem, gone=gone)


def _is_folder(entry: FileEntry) -> bool:
    return FileKind.FOLDER in (entry.kind, entry.leads_to)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _crumbs(workspace: str, folder: str) -> list[dict[str, Any]]:
    parts = folder.split("/") if folder else []
    return [{"name": part, "url": files_url(workspace, "/".join(parts[: at + 1]))} for at, part in enumerate(parts)]
