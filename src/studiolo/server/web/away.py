"""Output while you were away: what kernels of a workspace put out for notebooks that nobody had open."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.kernels import KernelInfo
from studiolo.server.http.identity import Allow
from studiolo.server.kernels.service import Unread
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.kernel_output import Shown, show
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_MOST_KERNELS = 20


@dataclass(frozen=True, slots=True)
class AwayCell:
    """A cell that put something out. `count`: its execution count, None while it runs for the first time."""

    id: str
    count: int | None
    is_running: bool
    at: datetime
    shown: list[Shown]


@dataclass(frozen=True, slots=True)
class AwayNotebook:
    """A notebook's kernel, its cells in the order in which they ran, and what keeps them from being read."""

    kernel: KernelInfo
    cells: list[AwayCell]
    problem: StudioloError | None = None


@router.get("/w/{workspace}/away")
async def show_away(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("kernel.output"))],
    services: ServicesOf,
) -> Response:
    """All of a workspace's notebooks that have such output, cell by cell."""
    return await _show(request, who, services, workspace)


@router.post("/w/{workspace}/away")
async def insert(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("kernel.execute"))],
    services: ServicesOf,
    kernel: Annotated[str, Form(max_length=64)],
) -> Response:
    """Insert a kernel's output into its notebook."""
    try:
        await services.kernels.insert_output(who, kernel)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/away", "inserted")


def read_cells(told: Mapping[str, Mapping[str, Any]]) -> list[AwayCell]:
    """Return cells from what the host tells of them (docs/decisions/005), in the order in which they ran."""
    runs = sorted(told.items(), key=lambda item: item[1]["first"])
    return [
        AwayCell(
            id=cell,
            count=run["execution_count"],
            is_running=run["state"] == "running",
            at=datetime.fromtimestamp(run["changed_at"], UTC),
            shown=show(run["outputs"]),
        )
        for cell, run in runs
    ]


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str,
    *,
    problem: StudioloError | None = None,
) -> Response:
    own = await services.workspaces.get(who, workspace)
    unread = await services.kernels.list_unread(who, workspace=own.id)
    return await render(
        request,
        "workspace_away.html",
        who,
        status=status_of(problem),
        workspace=own,
        notebooks=[await _read(who, services, one) for one in unread[:_MOST_KERNELS]],
        more=max(0, len(unread) - _MOST_KERNELS),
        here=f"/w/{own.id}/away",
        problem=problem,
        canonical=f"/w/{own.id}/away" if problem else None,
    )


async def _read(who: Principal, services: Services, one: Unread) -> AwayNotebook:
    try:
        told = await services.kernels.cells(who, one.kernel.id, after=one.after)
    except StudioloError as problem:
        return AwayNotebook(one.kernel, [], problem)
    return AwayNotebook(one.kernel, read_cells(told))
