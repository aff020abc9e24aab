"""REST of clones: a git repository into a workspace."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from studiolo.contract.archives import CloneProgress
from studiolo.contract.models import Clone
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.workspaces.cloning import Clones

router = APIRouter(prefix="/jupyter/workspaces/{workspace}/clone", tags=["workspaces"])
_Clones = Annotated[Clones, Depends(service("clones"))]
_Changes = Annotated[Principal, Depends(Allow("workspace.clone"))]


@router.post("", status_code=202)
async def start_clone(workspace: str, form: Clone, who: _Changes, clones: _Clones) -> CloneProgress:
    """Begin to clone a repository into a folder of its name. The token is used for this and not kept."""
    return await clones.start(who, workspace, form)


@router.get("")
async def get_clone(
    workspace: str, who: Annotated[Principal, Depends(Allow("workspace.clone-read"))], clones: _Clones
) -> CloneProgress:
    """How the clone goes, or how the last one ended."""
    return await clones.progress(who, workspace)


@router.delete("", status_code=204)
async def cancel_clone(workspace: str, who: _Changes, clones: _Clones) -> Response:
    """Cancel it; nothing of it stays."""
    await clones.cancel(who, workspace)
    return Response(status_code=204)
