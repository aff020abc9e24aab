"""Package policies: a workspace's, and the organisation's for administrators; what a change would come to is told."""

from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.policies import PolicyDocument, PolicyOutlook, PolicyRevision, PolicySet
from studiolo.contract.versions import FileDifference
from studiolo.files.differences import compare
from studiolo.packages.policy.documents import read_default_text
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_ADMIN = "/admin/policy"
_KEPT = "Kept as it came with Studiolo."
_Revision = Annotated[int | None, Query(alias="revision", ge=1, le=1_000_000)]
_Reads = Annotated[Principal, Depends(Allow("policy.read"))]
_Changes = Annotated[Principal, Depends(Allow("policy.change"))]
_Administrator = Annotated[Principal, Depends(Allow("policy.change-platform"))]


@dataclass(frozen=True, slots=True)
class Sent:
    """What the editor holds. `after`: the revision that it began with."""

    document: str
    note: str
    after: int | None


def _read_form(
    document: Annotated[str, Form(max_length=64 * 1024)] = "",
    note: Annotated[str, Form(max_length=500)] = "",
    after: Annotated[int | None, Form(ge=0)] = None,
) -> Sent:
    # Browsers send line ends as CRLF.
    return Sent(document.replace("\r\n", "\n"), note.strip(), after)


_SentForm = Annotated[Sent, Depends(_read_form)]


@router.get("/w/{workspace}/policy")
async def show(
    request: Request,
    workspace: str,
    who: _Reads,
    services: ServicesOf,
    cursor: Cursor = None,
    revision: _Revision = None,
) -> Response:
    """What holds in a workspace, its own policy, and what that was; `revision`: what that one changed."""
    return await _show(request, who, services, workspace, cursor=cursor, number=revision)


@router.post("/w/{workspace}/policy")
async def save(
    request: Request,
    workspace: str,
    who: _Changes,
    services: ServicesOf,
    sent: _SentForm,
) -> Response:
    """Set a workspace's own policy."""
    return await _save(request, who, services, workspace, sent)


@router.post("/w/{workspace}/policy/what-if")
async def what_if(
    request: Request,
    workspace: str,
    who: _Reads,
    services: ServicesOf,
    sent: _SentForm,
) -> Response:
    """Show what a policy would change in a workspace; nothing is set."""
    return await _what_if(request, who, services, workspace, sent)


@router.get(_ADMIN)
async def show_platform(
    request: Request,
    who: _Administrator,
    services: ServicesOf,
    cursor: Cursor = None,
    revision: _Revision = None,
) -> Response:
    """The organisation's policy, and what it refuses of the base."""
    return await _show(request, who, services, None, cursor=cursor, number=revision)


@router.post(_ADMIN)
async def save_platform(
    request: Request,
    who: _Administrator,
    services: ServicesOf,
    sent: _SentForm,
) -> Response:
    """Set the organisation's policy."""
    return await _save(request, who, services, None, sent)


@router.post(f"{_ADMIN}/what-if")
async def what_if_platform(
    request: Request,
    who: _Administrator,
    services: ServicesOf,
    sent: _SentForm,
) -> Response:
    """Show what a policy would change everywhere; nothing is set."""
    return await _what_if(request, who, services, None, sent)


@router.post(f"{_ADMIN}/keep")
async def keep(request: Request, who: _Administrator, services: ServicesOf) -> Response:
    """Make the product's policy the organisation's own, as it is."""
    return await _save(request, who, services, None, Sent(read_default_text(), _KEPT, 0))


@router.post(f"{_ADMIN}/revoke")
async def revoke(
    request: Request,
    who: _Administrator,
    services: ServicesOf,
    grant: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Take an approval or an exception back."""
    try:
        await services.grants.revoke(who, grant)
    except StudioloError as problem:
        return await _show(request, who, services, None, problem=problem)
    return see(_ADMIN, "grant-revoked")


async def _save(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str | None,
    sent: Sent,
) -> Response:
    try:
        await services.policy_revisions.set(who, workspace, forms.read(PolicySet, **asdict(sent)))
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem, sent=sent)
    return see(_ADMIN if workspace is None else f"/w/{workspace}/policy", "policy-set")


async def _what_if(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str | None,
    sent: Sent,
) -> Response:
    try:
        form = forms.read(PolicyDocument, document=sent.document)
        outlook = await services.policy_outlooks.what_if(who, workspace, form)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem, sent=sent)
    return await _show(request, who, services, workspace, sent=sent, outlook=outlook)


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    reference: str | None,
    *,
    cursor: str | None = None,
    number: int | None = None,
    problem: StudioloError | None = None,
    sent: Sent | None = None,
    outlook: PolicyOutlook | None = None,
) -> Response:
    own = await services.workspaces.get(who, reference) if reference is not None else None
    here = f"/w/{own.id}/policy" if own else _ADMIN
    policy = await services.policy_revisions.show(who, reference)
    history = await services.policy_revisions.history(who, reference, cursor=cursor, limit=PAGE_SIZE)
    chosen = await services.policy_revisions.revision(who, reference, number) if number else None
    form = sent or Sent(policy.document, "", policy.revision.number if policy.revision else 0)
    return await render(
        request,
        "workspace_policy.html" if own else "admin_policy.html",
        who,
        status=status_of(problem),
        **({"workspace": own} if own else {}),
        place_of_policy=here,
        policy=policy,
        history=history.items,
        revision=chosen,
        difference=await _difference(who, services, reference, chosen) if chosen else None,
        refused=await services.policy_outlooks.refused_of_base(who) if own is None and not policy.revision else [],
        form=form,
        outlook=outlook,
        problem=problem,
        canonical=here if problem or outlook else None,
        **pager(here, history.next_cursor, cursor),
    )


async def _difference(
    who: Principal, services: Services, reference: str | None, later: PolicyRevision
) -> FileDifference:
    """Return what a revision changed against the one before it."""
    before = b""
    if later.number > 1:
        before = (await services.policy_revisions.revision(who, reference, later.number - 1)).document.encode()
    names = (str(later.number - 1), str(later.number))
    return compare(before, later.document.encode(), path="workspace-security.yaml", names=names)
