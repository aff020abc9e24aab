"""REST of shares."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from studiolo.contract.details import Share, ShareCreate
from studiolo.contract.models import Page
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.sharing.service import Shares

router = APIRouter(prefix="/jupyter/workspaces/{workspace}/shares", tags=["workspaces"])
_Shares = Annotated[Shares, Depends(service("shares"))]


@router.get("")
async def list_shares(
    workspace: str,
    who: Annotated[Principal, Depends(Allow("share.list"))],
    shares: _Shares,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[Share]:
    """What members showed each other, newest first."""
    return await shares.list_(who, workspace, cursor=cursor, limit=limit)


@router.post("", status_code=201)
async def create_share(
    workspace: str, form: ShareCreate, who: Annotated[Principal, Depends(Allow("share.create"))], shares: _Shares
) -> Share:
    """Show a notebook or file to the workspace's members."""
    return await shares.create(who, workspace, form)


@router.delete("/{share_id}", status_code=204)
async def delete_share(
    workspace: str, share_id: str, who: Annotated[Principal, Depends(Allow("share.delete"))], shares: _Shares
) -> Response:
    """Share it no longer; the file stays."""
    await shares.delete(who, workspace, share_id)
    return Response(status_code=204)
