"""REST of kernel hosts beside sessions elsewhere, asked by them only, with their session's own key (decision 009)."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from studiolo.contract.models import Request, Wire
from studiolo.contract.shape import Moment
from studiolo.gateway.base import Wish
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.kernels.inside import InsideHosts
from studiolo.server.principal import Principal

_Who = Annotated[Principal, Depends(Allow("session.read"))]
_Inside = Annotated[InsideHosts, Depends(service("kernel_inside"))]

of_session = APIRouter(prefix="/sessions/{session}/kernels", tags=["sessions"])


class WishedKernel(Request):
    """A kernel that is to start in a session."""

    kernel_id: UUID
    spec_name: Annotated[str, Field(max_length=200)]
    path: Annotated[str, Field(max_length=4096)] | None = None


class Reserve(Request):
    """Whether it may start."""

    wish: WishedKernel


class Started(Request):
    """How a start went."""

    id: UUID
    ok: bool
    message: Annotated[str, Field(max_length=4096)] = ""


class KernelEnd(Request):
    """How a kernel ended."""

    reason: Annotated[str, Field(max_length=40)]
    message: Annotated[str, Field(max_length=4096)]
    at: Moment
    code: int | None = None
    signal: int | None = None


class Ended(Request):
    """Which kernel ended, and how."""

    id: UUID
    exit: KernelEnd


class HostReport(Request):
    """All kernels of a session's launch, as a kernel host describes them."""

    kernels: Annotated[list[dict[str, Any]], Field(max_length=1000)]


class Unwanted(Wire):
    """Kernels that nobody wants any more."""

    unwanted: list[str]


@of_session.post("/reserve", status_code=204)
async def reserve_kernel(session: str, form: Reserve, who: _Who, hosts: _Inside) -> Response:
    """Whether one more kernel may start in the session."""
    wish = form.wish
    await hosts.reserve(who, session, Wish(wish.spec_name, wish.path, kernel_id=str(wish.kernel_id)))
    return Response(status_code=204)


@of_session.post("/started", status_code=204)
async def kernel_started(session: str, form: Started, who: _Who, hosts: _Inside) -> Response:
    """That it runs, or did not start."""
    await hosts.started(who, session, str(form.id), ok=form.ok, message=form.message)
    return Response(status_code=204)


@of_session.post("/ended", status_code=204)
async def kernel_ended(session: str, form: Ended, who: _Who, hosts: _Inside) -> Response:
    """How it ended."""
    await hosts.ended(who, session, str(form.id), form.exit.reason, form.exit.message, form.exit.at)
    return Response(status_code=204)


@of_session.post("/report")
async def report_kernels(session: str, form: HostReport, who: _Who, hosts: _Inside) -> Unwanted:
    """How all of them are."""
    return Unwanted(unwanted=await hosts.report(who, session, form.kernels))
