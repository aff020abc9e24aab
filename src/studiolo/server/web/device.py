"""Approve a sign-in that was begun on a machine without a browser."""

from typing import Annotated

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.server.accounts.devices import PendingDevice
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web.render import render
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Approves = Annotated[Principal, Depends(Allow("account.approve-device"))]
_Code = Annotated[str, Form(max_length=40)]


@router.get("/sign-in/device")
async def show(
    request: Request, who: _Approves, services: ServicesOf, code: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    """Ask for the code; with `code`, who asks and from where. Nothing changes here."""
    if not code.strip():
        return await _show(request, who)
    try:
        return await _show(request, who, waiting=await services.devices.find(who, code))
    except StudioloError as problem:
        return await _show(request, who, code=code, problem=problem)


@router.post("/sign-in/device/approve")
async def approve(request: Request, who: _Approves, services: ServicesOf, code: _Code = "") -> Response:
    """Let the program in."""
    try:
        await services.devices.approve(who, code)
    except StudioloError as problem:
        return await _show(request, who, code=code, problem=problem)
    return await _show(request, who, answer="approved")


@router.post("/sign-in/device/refuse")
async def refuse(request: Request, who: _Approves, services: ServicesOf, code: _Code = "") -> Response:
    """Turn the program away."""
    try:
        await services.devices.refuse(who, code)
    except StudioloError as problem:
        return await _show(request, who, code=code, problem=problem)
    return await _show(request, who, answer="refused")


async def _show(
    request: Request,
    who: Principal,
    *,
    code: str = "",
    waiting: PendingDevice | None = None,
    answer: str | None = None,
    problem: StudioloError | None = None,
) -> Response:
    return await render(
        request,
        "device.html",
        who,
        status=status_of(problem),
        code=code,
        waiting=waiting,
        answer=answer,
        problem=problem,
        canonical="/sign-in/device" if request.method == "POST" else None,
    )
