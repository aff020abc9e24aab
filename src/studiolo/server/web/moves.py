"""A workspace to another engine: asked for, watched, taken back, confirmed."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.moves import Move, MoveProgress
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Changes = Annotated[Principal, Depends(Allow("workspace.move"))]


@router.get("/w/{workspace}/move")
async def show(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.move-read"))],
    services: ServicesOf,
) -> Response:
    """How a move goes, and the form for one."""
    return await _show(request, who, services, workspace)


@router.post("/w/{workspace}/move")
async def start(
    request: Request,
    workspace: str,
    who: _Changes,
    services: ServicesOf,
    engine: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Begin to move."""

    async def begin() -> MoveProgress:
        return await services.moves.begin(who, workspace, forms.read(Move, engine=engine.strip()))

    return await _do(request, who, services, workspace, begin)


@router.post("/w/{workspace}/move/cancel")
async def cancel(request: Request, workspace: str, who: _Changes, services: ServicesOf) -> Response:
    """Take it back."""
    return await _do(request, who, services, workspace, lambda: services.moves.cancel(who, workspace))


@router.post("/w/{workspace}/move/confirm")
async def confirm(request: Request, workspace: str, who: _Changes, services: ServicesOf) -> Response:
    """Let go of what it left."""
    return await _do(request, who, services, workspace, lambda: services.moves.confirm(who, workspace))


async def _do(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str,
    change: Callable[[], Awaitable[MoveProgress]],
) -> Response:
    try:
        await change()
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/move")


async def _show(
    request: Request, who: Principal, services: Services, workspace: str, *, problem: StudioloError | None = None
) -> Response:
    found = await services.workspaces.get(who, workspace)
    here = found.engine or services.engines.default
    return await render(
        request,
        "workspace_move.html",
        who,
        status=status_of(problem),
        workspace=found,
        progress=await services.moves.progress(who, found.id),
        here=here,
        others=[name for name in services.engines.usable if name != here],
        problem=problem,
        canonical=f"/w/{found.id}/move" if problem else None,
    )
