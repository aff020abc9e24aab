"""REST of the platform itself."""

from typing import Annotated

from fastapi import APIRouter, Depends

from studiolo import __version__
from studiolo.contract.details import AdminHealth
from studiolo.contract.models import Health, PlatformInfo
from studiolo.contract.resources import EngineInfo, Profiles
from studiolo.server.http.identity import Allow, Public
from studiolo.server.http.services import service
from studiolo.server.inspection import Inspection
from studiolo.server.principal import Principal

router = APIRouter(tags=["platform"])
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
