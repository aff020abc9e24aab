"""REST of package policies: the organisation's, and each workspace's."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from studiolo.contract.models import Page
from studiolo.contract.policies import (
    EffectivePolicy,
    GuardFinding,
    Judgement,
    PolicyDocument,
    PolicyOutlook,
    PolicyRevision,
    PolicySet,
)
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.packages.grants import Grants
from studiolo.server.packages.guarding import Guarding
from studiolo.server.packages.outlook import Outlooks
from studiolo.server.packages.policies import PolicyRevisions
from studiolo.server.principal import Principal

router = APIRouter(prefix="/jupyter", tags=["policy"])
_Revisions = Annotated[PolicyRevisions, Depends(service("policy_revisions"))]
_Outlooks = Annotated[Outlooks, Depends(service("policy_outlooks"))]
_Grants = Annotated[Grants, Depends(service("grants"))]
_Cursor = Annotated[str | None, Query(max_length=100)]
_Limit = Annotated[int, Query(ge=1, le=200)]
_Name = Annotated[str, Query(max_length=200, description="A package's name.")]
_Version = Annotated[str | None, Query(max_length=100)]
_Ecosystem = Annotated[Literal["pypi", "conda"], Query()]
_ReadsPlatform = Annotated[Principal, Depends(Allow("policy.read-platform"))]
_ChangesPlatform = Annotated[Principal, Depends(Allow("policy.change-platform"))]
_Reads = Annotated[Principal, Depends(Allow("policy.read"))]
_Changes = Annotated[Principal, Depends(Allow("policy.change"))]


@router.get("/policy")
async def show_platform(who: _ReadsPlatform, revisions: _Revisions) -> EffectivePolicy:
    """The organisation's policy; number 0 is the product's own."""
    return await revisions.show(who, None)


@router.put("/policy")
async def set_platform(form: PolicySet, who: _ChangesPlatform, revisions: _Revisions) -> EffectivePolicy:
    """Set the organisation's policy. A bad entry refuses the whole and is named with its line."""
    return await revisions.set(who, None, form)


@router.get("/policy/history")
async def platform_history(
    who: _ReadsPlatform, revisions: _Revisions, cursor: _Cursor = None, limit: _Limit = 50
) -> Page[PolicyRevision]:
    """Revisions of the organisation's policy, the latest first."""
    return await revisions.history(who, None, cursor=cursor, limit=limit)


@router.post("/policy/what-if")
async def platform_what_if(form: PolicyDocument, who: _ChangesPlatform, outlooks: _Outlooks) -> PolicyOutlook:
    """What a policy would change for packages that are installed or asked for; nothing is set."""
    return await outlooks.what_if(who, None, form)


@router.get("/policy/base")
async def refused_of_base(who: _ChangesPlatform, outlooks: _Outlooks) -> list[Judgement]:
    """Packages of the shipped base that the organisation's policy refuses to everybody who installs them anew."""
    return await outlooks.refused_of_base(who)


@router.get("/policy/check")
async def platform_check(
    who: _ReadsPlatform, revisions: _Revisions, name: _Name, version: _Version = None, ecosystem: _Ecosystem = "pypi"
) -> Judgement:
    """What the organisation's policy says of a package, by its name alone."""
    return await revisions.check(who, None, name, version=version, ecosystem=ecosystem)


@router.delete("/policy/grants/{grant}", status_code=204)
async def revoke_grant(grant: str, who: _ChangesPlatform, grants: _Grants) -> Response:
    """Take an approval or an exception back; what is installed stays until somebody removes it."""
    await grants.revoke(who, grant)
    return Response(status_code=204)


@router.get("/workspaces/{workspace}/policy")
async def show_policy(workspace: str, who: _Reads, revisions: _Revisions) -> EffectivePolicy:
    """What holds in a workspace."""
    return await revisions.show(who, workspace)


@router.put("/workspaces/{workspace}/policy")
async def set_policy(workspace: str, form: PolicySet, who: _Changes, revisions: _Revisions) -> EffectivePolicy:
    """Set a workspace's own policy. Its people can narrow the organisation's with it, administrators widen too."""
    return await revisions.set(who, workspace, form)


@router.get("/workspaces/{workspace}/policy/history")
async def policy_history(
    workspace: str, who: _Reads, revisions: _Revisions, cursor: _Cursor = None, limit: _Limit = 50
) -> Page[PolicyRevision]:
    """Revisions of a workspace's own policy, the latest first."""
    return await revisions.history(who, workspace, cursor=cursor, limit=limit)


@router.post("/workspaces/{workspace}/policy/what-if")
async def policy_what_if(workspace: str, form: PolicyDocument, who: _Reads, outlooks: _Outlooks) -> PolicyOutlook:
    """What a policy would change for packages that are installed or asked for in a workspace; nothing is set."""
    return await outlooks.what_if(who, workspace, form)


@router.get("/workspaces/{workspace}/policy/check")
async def policy_check(
    workspace: str,
    who: _Reads,
    revisions: _Revisions,
    name: _Name,
    version: _Version = None,
    ecosystem: _Ecosystem = "pypi",
) -> Judgement:
    """What a workspace's policy says of a package, by its name alone: nothing is looked up or resolved."""
    return await revisions.check(who, workspace, name, version=version, ecosystem=ecosystem)


@router.post("/workspaces/{workspace}/policy/guard", status_code=204)
async def tell_of_guard(
    workspace: str,
    form: GuardFinding,
    who: Annotated[Principal, Depends(Allow("package.guard"))],
    guarding: Annotated[Guarding, Depends(service("guarding"))],
) -> Response:
    """What a kernel's guard refused to a cell; kernels tell it, by the key of their session or their own."""
    await guarding.tell(who, workspace, form)
    return Response(status_code=204)
