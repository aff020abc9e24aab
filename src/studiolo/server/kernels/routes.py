"""REST of kernels. `{kernel}` is a kernel's UUID. Jupyter's own API is the kernel host's."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, Field

from studiolo.contract.kernels import (
    KernelInfo,
    KernelLog,
    KernelOutput,
    KernelSpecInfo,
    KernelStart,
    KernelState,
)
from studiolo.contract.models import Page, Request, Wire
from studiolo.gateway.base import Wish
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.kernels.inside import InsideHosts
from studiolo.server.kernels.service import MAX_WAIT_SECONDS, Kernels
from studiolo.server.principal import Principal

_Kernels = Annotated[Kernels, Depends(service("kernels"))]
_Inside = Annotated[InsideHosts, Depends(service("kernel_inside"))]
_Reference = Annotated[str | None, Query(max_length=4096)]
_Cell = Annotated[str | None, Query(max_length=64, description="Only what this cell put out.")]

collection = APIRouter(prefix="/kernels", tags=["kernels"])
of_workspace = APIRouter(prefix="/workspaces/{workspace}/kernelspecs", tags=["kernels"])
# Asked by the kernel host beside a session elsewhere only, with the session's own key (docs/decisions/009).
of_session = APIRouter(prefix="/sessions/{session}/kernels", tags=["sessions"])


@collection.get("")
async def list_kernels(
    who: Annotated[Principal, Depends(Allow("kernel.list"))],
    kernels: _Kernels,
    workspace: _Reference = None,
    session: _Reference = None,
    state: Annotated[list[KernelState] | None, Query(description="`ended` ones are listed on demand only.")] = None,
    everything: Annotated[bool, Query(alias="all", description="Not only your own.")] = False,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[KernelInfo]:
    """Kernels, newest first: your own, a workspace's, a session's, or all that you can see."""
    return await kernels.list_(
        who,
        workspace=workspace,
        session=session,
        states=state or (),
        everything=everything,
        cursor=cursor,
        limit=limit,
    )


@collection.post("", status_code=201)
async def start_kernel(
    form: KernelStart, who: Annotated[Principal, Depends(Allow("kernel.start"))], kernels: _Kernels
) -> KernelInfo:
    """Start a headless kernel in a workspace; answers when it runs."""
    return await kernels.start(who, form)


@collection.get("/{kernel}")
async def get_kernel(
    kernel: str, who: Annotated[Principal, Depends(Allow("kernel.read"))], kernels: _Kernels
) -> KernelInfo:
    """One kernel."""
    return await kernels.get(who, kernel)


@collection.post("/{kernel}/stop")
async def stop_kernel(
    kernel: str, who: Annotated[Principal, Depends(Allow("kernel.stop"))], kernels: _Kernels
) -> KernelInfo:
    """Stop a kernel and all that it started; its output can still be read for a while."""
    return await kernels.stop(who, kernel)


@collection.post("/{kernel}/interrupt")
async def interrupt_kernel(
    kernel: str, who: Annotated[Principal, Depends(Allow("kernel.interrupt"))], kernels: _Kernels
) -> KernelInfo:
    """Interrupt what a kernel runs."""
    return await kernels.interrupt(who, kernel)


@collection.post("/{kernel}/restart")
async def restart_kernel(
    kernel: str, who: Annotated[Principal, Depends(Allow("kernel.restart"))], kernels: _Kernels
) -> KernelInfo:
    """Start a kernel anew under its id; its variables are gone, its output stays."""
    return await kernels.restart(who, kernel)


@collection.get("/{kernel}/log")
async def kernel_log(
    kernel: str,
    who: Annotated[Principal, Depends(Allow("kernel.log"))],
    kernels: _Kernels,
    lines: Annotated[int, Query(ge=1, le=2000)] = 200,
) -> KernelLog:
    """The last lines that its process itself wrote."""
    return await kernels.log(who, kernel, lines=lines)


@collection.get("/{kernel}/output")
async def kernel_output(
    kernel: str,
    who: Annotated[Principal, Depends(Allow("kernel.output"))],
    kernels: _Kernels,
    after: Annotated[int, Query(ge=0, description="Number of the last message that you have.")] = 0,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for more.")] = 0,
    cell: _Cell = None,
) -> KernelOutput:
    """What it has put out after a number, oldest first; asked again with `next`, everything comes once."""
    return await kernels.output(who, kernel, after=after, wait_seconds=wait, cell=cell)


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
    at: AwareDatetime
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
async def reserve_kernel(
    session: str, form: Reserve, who: Annotated[Principal, Depends(Allow("session.read"))], hosts: _Inside
) -> Response:
    """Whether one more kernel may start in the session."""
    wish = form.wish
    await hosts.reserve(who, session, Wish(wish.spec_name, wish.path, kernel_id=str(wish.kernel_id)))
    return Response(status_code=204)


@of_session.post("/started", status_code=204)
async def kernel_started(
    session: str, form: Started, who: Annotated[Principal, Depends(Allow("session.read"))], hosts: _Inside
) -> Response:
    """That it runs, or did not start."""
    await hosts.started(who, session, str(form.id), ok=form.ok, message=form.message)
    return Response(status_code=204)


@of_session.post("/ended", status_code=204)
async def kernel_ended(
    session: str, form: Ended, who: Annotated[Principal, Depends(Allow("session.read"))], hosts: _Inside
) -> Response:
    """How it ended."""
    await hosts.ended(who, session, str(form.id), form.exit.reason, form.exit.message, form.exit.at)
    return Response(status_code=204)


@of_session.post("/report")
async def report_kernels(
    session: str, form: HostReport, who: Annotated[Principal, Depends(Allow("session.read"))], hosts: _Inside
) -> Unwanted:
    """How all of them are."""
    return Unwanted(unwanted=await hosts.report(who, session, form.kernels))


@of_workspace.get("")
async def list_kernelspecs(
    workspace: str, who: Annotated[Principal, Depends(Allow("kernel.specs"))], kernels: _Kernels
) -> list[KernelSpecInfo]:
    """Kernels that a workspace offers, the default first."""
    return await kernels.specs(who, workspace)
