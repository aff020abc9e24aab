"""Kernels: a workspace's, one with its output, everybody's for administrators; and what can be done to them."""

from typing import Annotated, Any

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.kernels import KernelInfo, KernelStart
from studiolo.contract.models import Workspace
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.kernel_words import Ran, may, runs_of, snippets
from studiolo.server.web.render import local, render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_MOST_LISTED = 200
_LOG_LINES = 200
# What a page shows of a journal, from its end.
_MOST_MESSAGES = 400
# The form that makes a kernelspec, untouched.
_EMPTY_SPEC = {"name": "", "base": "", "display_name": "", "cpu": "", "memory": "", "variables": ""}
# Which of its fields an answer of the host is about.
_SPEC_FIELDS = {"name-invalid": "name", "kernelspec-exists": "name", "kernelspec-not-found": "base"}
_Text = Annotated[str, Form(max_length=1000)]
_Back = Annotated[str, Form(max_length=2000)]


@router.get("/w/{workspace}/kernels")
async def of_workspace(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("kernel.list"))],
    services: ServicesOf,
    cursor: Cursor = None,
    ended: bool = False,
) -> Response:
    """A workspace: its kernels."""
    return await show_workspace(request, who, services, workspace, cursor=cursor, ended=ended)


@router.post("/w/{workspace}/kernels")
async def start(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("kernel.start"))],
    services: ServicesOf,
    name: _Text = "",
    profile: _Text = "",
    path: _Text = "",
    engine: _Text = "",
) -> Response:
    """Start a headless kernel and go to its page."""
    try:
        form = forms.read(
            KernelStart,
            workspace=workspace,
            name=name or None,
            engine=engine or None,
            profile=profile or None,
            path=path.strip() or None,
        )
        started = await services.kernels.start(who, form)
    except StudioloError as problem:
        given = {"name": name, "profile": profile, "path": path, "engine": engine}
        return await show_workspace(request, who, services, workspace, problem=problem, given=given)
    return see(f"/kernels/{started.id}", "started")


@router.get("/kernels/{kernel}")
async def show(
    request: Request,
    kernel: str,
    who: Annotated[Principal, Depends(Allow("kernel.read"))],
    services: ServicesOf,
) -> Response:
    """A kernel: how it is, what it has put out, how to connect."""
    return await _show(request, who, services, kernel)


@router.post("/kernels/{kernel}/interrupt")
async def interrupt(
    request: Request,
    kernel: str,
    who: Annotated[Principal, Depends(Allow("kernel.interrupt"))],
    services: ServicesOf,
    back: _Back = "",
) -> Response:
    """Interrupt what it runs."""
    try:
        await services.kernels.interrupt(who, kernel)
    except StudioloError as problem:
        return await _show(request, who, services, kernel, problem=problem)
    return see(local(back, f"/kernels/{kernel}"), "interrupted")


@router.post("/kernels/{kernel}/restart")
async def restart(
    request: Request,
    kernel: str,
    who: Annotated[Principal, Depends(Allow("kernel.restart"))],
    services: ServicesOf,
    back: _Back = "",
) -> Response:
    """Start it anew under its id."""
    try:
        await services.kernels.restart(who, kernel)
    except StudioloError as problem:
        return await _show(request, who, services, kernel, problem=problem)
    return see(local(back, f"/kernels/{kernel}"), "restarted")


@router.post("/kernels/{kernel}/stop")
async def stop(
    request: Request,
    kernel: str,
    who: Annotated[Principal, Depends(Allow("kernel.stop"))],
    services: ServicesOf,
    back: _Back = "",
) -> Response:
    """End it; its output can still be read for a while."""
    try:
        await services.kernels.stop(who, kernel)
    except StudioloError as problem:
        return await _show(request, who, services, kernel, problem=problem)
    return see(local(back, f"/kernels/{kernel}"), "stopped")


@router.get("/admin/kernels")
async def of_everybody(
    request: Request, who: Annotated[Principal, Depends(Allow("platform.inspect"))], services: ServicesOf
) -> Response:
    """All kernels that run."""
    found = await services.kernels.list_(who, everything=True, limit=_MOST_LISTED)
    return await render(
        request,
        "admin_kernels.html",
        who,
        kernels=found.items,
        allowed={kernel.id: frozenset({"stop"}) for kernel in found.items},
        has_more=found.next_cursor is not None,
    )


async def show_workspace(
    request: Request,
    who: Principal,
    services: Services,
    reference: str,
    *,
    cursor: str | None = None,
    ended: Annotated[bool, Query()] = False,
    problem: StudioloError | None = None,
    given: dict[str, str] | None = None,
    given_spec: dict[str, str] | None = None,
) -> Response:
    """Return the page. `problem` stands above it, or in the form of kernelspecs where that was `given_spec`."""
    own = await services.workspaces.get(who, reference)
    states = ("ended",) if ended else ()
    found = await services.kernels.list_(who, workspace=own.id, states=states, cursor=cursor, limit=PAGE_SIZE)
    return await render(
        request,
        "workspace_kernels.html",
        who,
        status=status_of(problem),
        workspace=own,
        kernels=found.items,
        allowed={kernel.id: may(kernel, own, who) for kernel in found.items},
        ended=ended,
        profiles=services.settings.resources.of_person(who.name).profiles,
        engines=services.engines.usable,
        form={"name": "", "profile": "", "path": "", "engine": ""} | (given or {}),
        spec_form=_EMPTY_SPEC | (given_spec or {}),
        tells_problems=given_spec is not None,
        faults=forms.faults_of(problem, _SPEC_FIELDS) if given_spec else {},
        problem=problem,
        canonical=f"/w/{own.id}/kernels" if problem else None,
        **await _specs(services, who, own),
        **pager(f"/w/{own.id}/kernels", found.next_cursor, cursor, {"ended": "true"} if ended else None),
    )


async def _specs(services: Services, who: Principal, workspace: Workspace) -> dict[str, Any]:
    """The kernelspecs of a workspace for those who may start one; what keeps them from being known is said."""
    if workspace.role not in ("owner", "editor"):
        return {"specs": [], "specs_problem": None}
    try:
        return {"specs": await services.kernels.specs(who, workspace.id), "specs_problem": None}
    except StudioloError as problem:
        return {"specs": [], "specs_problem": problem}


async def _show(
    request: Request, who: Principal, services: Services, reference: str, *, problem: StudioloError | None = None
) -> Response:
    kernel = await services.kernels.get(who, reference)
    workspace = await services.workspaces.get(who, kernel.workspace.id)
    allowed = may(kernel, workspace, who)
    runs, output_problem = await _output(services, who, kernel) if "output" in allowed else ([], None)
    return await render(
        request,
        "kernel.html",
        who,
        status=status_of(problem),
        kernel=kernel,
        workspace=workspace,
        allowed=allowed,
        runs=runs,
        output_problem=output_problem,
        most_messages=_MOST_MESSAGES,
        log=await _log(services, who, kernel) if "log" in allowed else [],
        snippets=snippets(kernel),
        here=f"/kernels/{kernel.id}",
        problem=problem,
        canonical=f"/kernels/{kernel.id}" if problem else None,
    )


async def _output(services: Services, who: Principal, kernel: KernelInfo) -> tuple[list[Ran], StudioloError | None]:
    """The end of a kernel's output by request; a page does without what cannot be had, and says so."""
    entries: list[dict[str, Any]] = []
    after, more = max(0, kernel.output - _MOST_MESSAGES), True
    try:
        while more and len(entries) <= 2 * _MOST_MESSAGES:
            seen = await services.kernels.output(who, kernel.id, after=after)
            entries, after, more = entries + seen.entries, seen.next, seen.more and bool(seen.entries)
    except StudioloError as problem:
        return [], problem
    return runs_of(entries), None


async def _log(services: Services, who: Principal, kernel: KernelInfo) -> list[str]:
    """The end of what its process wrote; a page does without it."""
    try:
        return (await services.kernels.log(who, kernel.id, lines=_LOG_LINES)).lines
    except StudioloError:
        return []
