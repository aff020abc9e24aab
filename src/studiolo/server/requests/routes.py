"""REST of requests for packages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from studiolo.contract.models import Page
from studiolo.contract.requests import Approval, Denial, PackageAsk, PackageRequest, RequestState
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.requests.deciding import Decisions
from studiolo.server.requests.service import Requests

router = APIRouter(prefix="/jupyter", tags=["requests"])
_Requests = Annotated[Requests, Depends(service("requests"))]
_Decisions = Annotated[Decisions, Depends(service("request_decisions"))]
_Decides = Annotated[Principal, Depends(Allow("request.decide"))]


@router.post("/workspaces/{workspace}/requests", status_code=201)
async def ask_for_package(
    workspace: str, form: PackageAsk, who: Annotated[Principal, Depends(Allow("request.create"))], requests: _Requests
) -> PackageRequest:
    """Ask for a package that the workspace's policy does not allow, or join those who asked for it."""
    return await requests.ask(who, workspace, form)


@router.get("/requests")
async def list_requests(
    who: Annotated[Principal, Depends(Allow("request.list"))],
    requests: _Requests,
    state: RequestState | None = None,
    mine: Annotated[bool, Query(description="Only what you asked for yourself.")] = False,
    workspace: Annotated[str | None, Query(max_length=200, description="Only of this workspace.")] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[PackageRequest]:
    """Requests in your workspaces, of all for administrators, newest first."""
    return await requests.list_(who, state=state, mine=mine, workspace=workspace, cursor=cursor, limit=limit)


@router.get("/requests/{request_id}")
async def get_request(
    request_id: str, who: Annotated[Principal, Depends(Allow("request.list"))], requests: _Requests
) -> PackageRequest:
    """One request, with all that the package would bring along."""
    return await requests.get(who, request_id)


@router.post("/requests/{request_id}/withdraw")
async def withdraw_request(
    request_id: str, who: Annotated[Principal, Depends(Allow("request.withdraw"))], requests: _Requests
) -> PackageRequest:
    """Take your wish back. Others who want the same go on to."""
    return await requests.withdraw(who, request_id)


@router.post("/requests/{request_id}/approve")
async def approve_request(request_id: str, form: Approval, who: _Decides, decisions: _Decisions) -> PackageRequest:
    """Allow what was asked for; it is then installed by itself, and who asked is told."""
    return await decisions.approve(who, request_id, form)


@router.post("/requests/{request_id}/deny")
async def deny_request(request_id: str, form: Denial, who: _Decides, decisions: _Decisions) -> PackageRequest:
    """Refuse what was asked for, with a reason that who asked reads."""
    return await decisions.deny(who, request_id, form)


@router.post("/requests/{request_id}/install")
async def install_again(request_id: str, who: _Decides, decisions: _Decisions) -> PackageRequest:
    """Try a failed installation of what was approved once more."""
    return await decisions.install_again(who, request_id)
