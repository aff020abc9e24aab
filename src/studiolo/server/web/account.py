"""The person's own account: logins, password, keys."""

from typing import Annotated, Any

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import KeyCreate, KeyCreated, PasswordChange
from studiolo.contract.operations import SCOPES
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=2000)]
_MAX_DAYS = 90


@router.get("/account")
async def show(
    request: Request, who: Annotated[Principal, Depends(Allow("account.read"))], services: ServicesOf
) -> Response:
    """The account."""
    return await _show(request, who, services)


@router.post("/account/password")
async def change_password(
    request: Request,
    who: Annotated[Principal, Depends(Allow("account.update"))],
    services: ServicesOf,
    new: _Text = "",
    current: _Text = "",
) -> Response:
    """Set or change the password."""
    try:
        form = forms.read(PasswordChange, current=current or None, new=new)
        await services.accounts.change_password(who, form)
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem)
    return see("/account", "password")


@router.post("/account/sign-out-everywhere")
async def sign_out_everywhere(
    who: Annotated[Principal, Depends(Allow("account.update"))], services: ServicesOf
) -> Response:
    """End all logins, this one too."""
    await services.accounts.sign_out_everywhere(who)
    return see("/signed-out")


@router.post("/account/keys")
async def create_key(
    request: Request,
    who: Annotated[Principal, Depends(Allow("key.create"))],
    services: ServicesOf,
    name: _Text = "",
    expires_in_days: _Text = str(_MAX_DAYS),
    scopes: Annotated[list[str] | None, Form()] = None,
    kind: _Text = "account",
    workspace: _Text = "",
) -> Response:
    """Make a key; this answer is the only one that holds it. One for kernels has no scopes to choose."""
    chosen = {"kind": kind, "workspace": workspace.strip() or None} if kind != "account" else {"scopes": scopes or []}
    try:
        form = forms.read(KeyCreate, name=name.strip(), expires_in_days=expires_in_days, **chosen)
        created = await services.keys.create_key(who, form)
    except StudioloError as problem:
        given = {"kind": kind, "name": name, "days": expires_in_days, "scopes": scopes or [], "workspace": workspace}
        return await _show(request, who, services, problem=problem, form=given)
    return await _show(request, who, services, created=created)


@router.post("/account/keys/{key}/revoke")
async def revoke_key(
    key: str, who: Annotated[Principal, Depends(Allow("key.revoke"))], services: ServicesOf
) -> Response:
    """End a key at once."""
    await services.keys.revoke_key(who, key)
    return see("/account#keys", "revoked")


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    *,
    problem: StudioloError | None = None,
    form: dict[str, Any] | None = None,
    created: KeyCreated | None = None,
) -> Response:
    scopes = {scope: summary for scope, summary in SCOPES.items() if scope != "platform:admin" or who.is_admin}
    everything = [scope for scope in scopes if scope != "platform:admin"]
    return await render(
        request,
        "account.html",
        who,
        status=status_of(problem),
        logins=await services.accounts.list_logins(who),
        keys=await services.keys.list_keys(who),
        scopes=scopes,
        created=created,
        problem=problem,
        canonical="/account",
        form=form or {"kind": "", "name": "", "days": _MAX_DAYS, "scopes": everything, "workspace": ""},
    )
