"""A git repository into a workspace: asked for, watched, cancelled."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import Clone
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=4000)]


@router.get("/w/{workspace}/clone")
async def show(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.clone-read"))],
    services: ServicesOf,
) -> Response:
    """How a clone goes, and the form for one."""
    return await _show(request, who, services, workspace)


@router.post("/w/{workspace}/clone")
async def start(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.clone"))],
    services: ServicesOf,
    url: _Text = "",
    branch: _Text = "",
    username: _Text = "",
    token: _Text = "",
) -> Response:
    """Begin to clone."""
    try:
        await services.clones.start(who, workspace, read_clone(url, branch, username, token))
    except StudioloError as problem:
        given = {"url": url, "branch": branch, "username": username}
        return await _show(request, who, services, workspace, problem=problem, given=given)
    return see(f"/w/{workspace}/clone")


@router.post("/w/{workspace}/clone/cancel")
async def cancel(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.clone"))],
    services: ServicesOf,
) -> Response:
    """Cancel it."""
    try:
        await services.clones.cancel(who, workspace)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/clone", "cancelled")


def read_clone(url: str, branch: str, username: str, token: str) -> Clone:
    """Return what a form asks for. Raises InvalidInput (`request-invalid`)."""
    given = {"url": url, "branch": branch, "username": username, "token": token}
    return forms.read(Clone, **{name: value.strip() for name, value in given.items() if value.strip() or name == "url"})


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str,
    *,
    problem: StudioloError | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    found = await services.workspaces.get(who, workspace)
    return await render(
        request,
        "workspace_clone.html",
        who,
        status=status_of(problem),
        workspace=found,
        progress=await services.clones.progress(who, found.id),
        form=given or {"url": "", "branch": "", "username": ""},
        problem=problem,
        canonical=f"/w/{found.id}/clone" if problem else None,
    )
