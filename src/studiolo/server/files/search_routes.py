"""REST of the search of files."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from studiolo.contract.file_search import FileSearch
from studiolo.server.files.searching import FileSearches
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/jupyter/workspaces/{workspace}/files", tags=["files"])


@router.get("/search")
async def search_files(
    workspace: str,
    who: Annotated[Principal, Depends(Allow("file.read"))],
    searches: Annotated[FileSearches, Depends(service("file_searches"))],
    q: Annotated[str, Query(min_length=1, max_length=400, description='Words; all must fit. `"side by side"`.')],
    within: Annotated[str, Query(alias="in", max_length=8192, description="Only below this folder.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> FileSearch:
    """Search names, notebooks' cells and text files."""
    return await searches.search(who, workspace, q, within=within, limit=limit)
