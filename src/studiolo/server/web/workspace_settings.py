"""One workspace: name, description, deletion."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.contract.models import Workspace, WorkspaceUpdate
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=4000)]


@router.get("/w/{workspace}/settings")
async def settings(
    request: Request, workspace: str, who: Annotated[Principal, Depends(Allow("workspace.read"))], services: ServicesOf
) -> Response:
    """A workspace: name, description, deletion."""
    return await _show_settings(request, who, await services.workspaces.get(who, workspace))


@router.post("/w/{workspace}/settings")
async def save(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.update"))],
    services: ServicesOf,
    name: _Text = "",
    description: _Text = "",
) -> Response:
    """Rename or describe."""
    try:
        form = forms.read(WorkspaceUpdate, name=name.strip(), description=description)
        saved = await services.workspaces.update(who, workspace, form)
    except StudioloError as problem:
        own = await services.workspaces.get(who, workspace)
        return await _show_settings(request, who, own, problem=problem, form={"name": name, "description": description})
    return see(f"/w/{saved.id}/settings", "saved")


@router.post("/w/{workspace}/delete")
async def delete(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.delete"))],
    services: ServicesOf,
    typed: _Text = "",
) -> Response:
    """Delete, when the name was typed."""
    own = await services.workspaces.get(who, workspace)
    try:
        if typed.strip() != own.name:
            raise InvalidInput("request-invalid", f"Nothing was deleted: the name to type is {own.name!r}.")
        await services.workspaces.delete(who, own.id, stop_sessions=True)
    except StudioloError as problem:
        return await _show_settings(request, who, own, problem=problem)
    return see("/", "deleted")


async def _show_settings(
    request: Request,
    who: Principal,
    workspace: Workspace,
    *,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    given = form or {"name": workspace.name, "description": workspace.description}
    status = status_of(problem)
    return await render(
        request,
        "workspace_settings.html",
        who,
        status=status,
        workspace=workspace,
        problem=problem,
        canonical=f"/w/{workspace.id}/settings",
        form=given,
    )
