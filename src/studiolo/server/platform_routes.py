"""REST of the platform itself."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from studiolo import __version__
from studiolo.contract.details import AdminHealth
from studiolo.contract.models import Health, PlatformInfo
from studiolo.contract.resources import EngineInfo, Profiles
from studiolo.server.http.identity import Allow, Public
from studiolo.server.http.services import service
from studiolo.server.inspection import Inspection
from studiolo.server.metrics import Metrics
from studiolo.server.principal import Principal

router = APIRouter(tags=["platform"])
# Where monitoring systems look by themselves: below the address, not below the API's version.
at_root = APIRouter(include_in_schema=False)
_Inspection = Annotated[Inspection, Depends(service("inspection"))]
_Lists = Annotated[Principal, Depends(Allow("engine.list"))]


@router.get("/health", dependencies=[Depends(Public("platform.health"))])
async def health() -> Health:
    """Answers when the API does."""
    return Health(version=__version__)


@router.get("/platform", dependencies=[Depends(Public("platform.describe"))])
async def describe(info: Annotated[PlatformInfo, Depends(service("platform"))]) -> PlatformInfo:
    """Version, address, and what people must know."""
    return info


@router.get("/profiles")
async def list_profiles(who: _Lists, inspection: _Inspection) -> Profiles:
    """The sizes that sessions can be launched with, and the largest that may be asked for."""
    return await inspection.profiles(who)


@router.get("/engines")
async def list_engines(who: _Lists, inspection: _Inspection) -> list[EngineInfo]:
    """Where sessions run: what the machine has, what is claimed of it, and what holds sessions to their limits."""
    return await inspection.engines(who)


@router.get("/admin/health")
async def inspect(
    who: Annotated[Principal, Depends(Allow("platform.inspect"))], inspection: _Inspection
) -> AdminHealth:
    """Whether all is well, part by part, with the one thing to do first if not."""
    return await inspection.health(who)


@at_root.get("/metrics")
async def metrics(
    who: Annotated[Principal, Depends(Allow("platform.metrics"))],
    found: Annotated[Metrics, Depends(service("metrics"))],
) -> Response:
    """What Prometheus scrapes, with an administrator's key that needs no scope but `platform:metrics`."""
    return Response(await found.read(who), media_type="text/plain; version=0.0.4; charset=utf-8")
