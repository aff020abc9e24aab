"""REST of GPUs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from studiolo.contract.gpus import GPUNotify, GPUOverview, GPUWait
from studiolo.server.gpus.service import GPUService
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/gpus", tags=["platform"])
_Service = Annotated[GPUService, Depends(service("gpus"))]


@router.get("")
async def list_gpus(who: Annotated[Principal, Depends(Allow("gpu.list"))], gpus: _Service) -> GPUOverview:
    """GPUs that the platform hands out: memory, utilisation, who has each since when; and what you wait for."""
    return await gpus.list_(who)


@router.put("/notify")
async def notify(form: GPUNotify, who: Annotated[Principal, Depends(Allow("gpu.notify"))], gpus: _Service) -> GPUWait:
    """Be told once, when as many are free."""
    return await gpus.notify(who, form)


@router.delete("/notify", status_code=204)
async def withdraw(who: Annotated[Principal, Depends(Allow("gpu.withdraw"))], gpus: _Service) -> Response:
    """Wait for GPUs no more."""
    await gpus.withdraw(who)
    return Response(status_code=204)
