"""What becomes of a workspace: a copy, another owner, empty caches, the trash and back."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.details import Duplicate, Transfer
from studiolo.contract.errors import StudioloError
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of
from studiolo.server.web.workspace_settings import show_settings

router = pages_router()
_Text = Annotated[str, Form(max_length=300)]


@router.post("/w/{workspace}/duplicate")
async def duplicate(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.duplicate"))],
    services: ServicesOf,
    name: _Text = "",
) -> Response:
    """Copy its files and configuration, and go to the copy."""
    try:
        copy = await services.copies.duplicate(who, workspace, forms.read(Duplicate, name=name.strip()))
    except StudioloError as problem:
        given = {"copy_name": name}
        return await show_settings(request, who, services, workspace, problem=problem, at="copy", given=given)
    return see(f"/w/{copy.id}", "copied")


@router.post("/w/{workspace}/transfer")
async def transfer(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.transfer"))],
    services: ServicesOf,
    person: _Text = "",
) -> Response:
    """Make another member the owner."""
    try:
        await services.members.transfer(who, workspace, forms.read(Transfer, person=person))
    except StudioloError as problem:
        given = {"person": person}
        return await show_settings(request, who, services, workspace, problem=problem, at="transfer", given=given)
    return see(f"/w/{workspace}", "handed-over")


@router.post("/w/{workspace}/clear-cache")
async def clear_cache(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.reset"))],
    services: ServicesOf,
) -> Response:
    """Delete what its tools can load or make again."""
    try:
        await services.resets.clear_cache(who, workspace)
    except StudioloError as problem:
        return await show_settings(request, who, services, workspace, problem=problem, at="caches")
    return see(f"/w/{workspace}/settings", "freed")


@router.post("/w/{workspace}/delete")
async def delete(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.delete"))],
    services: ServicesOf,
) -> Response:
    """Put it into the trash; the page that follows offers to bring it back."""
    try:
        own = await services.workspaces.get(who, workspace)
        await services.workspaces.delete(who, own.id, stop_sessions=True)
    except StudioloError as problem:
        return await show_settings(request, who, services, workspace, problem=problem, at="delete")
    return see(f"/?undo={own.id}", "deleted")


@router.get("/trash")
async def trash(
    request: Request,
    who: Annotated[Principal, Depends(Allow("trash.list"))],
    services: ServicesOf,
    cursor: Cursor = None,
) -> Response:
    """What was deleted and can still come back."""
    return await _show_trash(request, who, services, cursor=cursor)


@router.post("/trash/{workspace}/restore")
async def restore(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("trash.restore"))],
    services: ServicesOf,
) -> Response:
    """Bring a deleted workspace back."""
    try:
        back = await services.trash.restore(who, workspace)
    except StudioloError as problem:
        return await _show_trash(request, who, services, problem=problem)
    return see(f"/w/{back.id}", "restored")


@router.post("/trash/{workspace}/erase")
async def erase(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("trash.erase"))],
    services: ServicesOf,
    typed: _Text = "",
) -> Response:
    """Erase it for good, when its name was typed."""
    try:
        await services.trash.erase(who, workspace, confirm=typed.strip())
    except StudioloError as problem:
        return await _show_trash(request, who, services, problem=problem)
    return see("/trash", "erased")


async def _show_trash(
    request: Request,
    who: Principal,
    services: Services,
    *,
    cursor: str | None = None,
    problem: StudioloError | None = None,
) -> Response:
    found = await services.trash.list_(who, cursor=cursor, limit=PAGE_SIZE)
    return await render(
        request,
        "trash.html",
        who,
        status=status_of(problem),
        trashed=found.items,
        problem=problem,
        canonical="/trash" if problem else None,
        **pager("/trash", found.next_cursor, cursor),
    )
