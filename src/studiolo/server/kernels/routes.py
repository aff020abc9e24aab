"""REST of kernels. `{kernel}` is a kernel's UUID. Jupyter's own API is the kernel host's."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from studiolo.contract.kernels import (
    KernelInfo,
    KernelLog,
    KernelOutput,
    KernelSpecCreate,
    KernelSpecInfo,
    KernelStart,
    KernelState,
)
from studiolo.contract.models import Page
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.kernels.service import MAX_WAIT_SECONDS, Kernels
from studiolo.server.principal import Principal

_Kernels = Annotated[Kernels, Depends(service("kernels"))]
_Reference = Annotated[str | None, Query(max_length=4096)]
_Cell = Annotated[str | None, Query(max_length=64, description="Only what this cell put out.")]

collection = APIRouter(prefix="/kernels", tags=["kernels"])
of_workspace = APIRouter(prefix="/workspaces/{workspace}/kernelspecs", tags=["kernels"])


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


@of_workspace.get("")
async def list_kernelspecs(
    workspace: str, who: Annotated[Principal, Depends(Allow("kernel.specs"))], kernels: _Kernels
) -> list[KernelSpecInfo]:
    """Kernels that a workspace offers, the default first."""
    return await kernels.specs(who, workspace)


@of_workspace.post("", status_code=201)
async def create_kernelspec(
    workspace: str,
    form: KernelSpecCreate,
    who: Annotated[Principal, Depends(Allow("kernelspec.create"))],
    kernels: _Kernels,
) -> KernelSpecInfo:
    """Make a kernelspec from one that is there, with variables and a size of its own."""
    return await kernels.create_spec(who, workspace, form)


@of_workspace.delete("/{name}", status_code=204)
async def remove_kernelspec(
    workspace: str,
    name: Annotated[str, Path(max_length=63, pattern=r"^[a-z0-9][a-z0-9._-]*$")],
    who: Annotated[Principal, Depends(Allow("kernelspec.remove"))],
    kernels: _Kernels,
) -> None:
    """Remove a kernelspec that was made; kernels that run go on."""
    await kernels.remove_spec(who, workspace, name)
