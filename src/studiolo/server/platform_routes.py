"""REST of the platform itself."""

from typing import Annotated

from fastapi import APIRouter, Depends

from studiolo import __version__
from studiolo.contract.models import Health, PlatformInfo
from studiolo.server.http.identity import Public
from studiolo.server.http.services import service

router = APIRouter(tags=["platform"])


@router.get("/health", dependencies=[Depends(Public("platform.health"))])
async def health() -> Health:
    """Answers when the API does."""
    return Health(version=__version__)


@router.get("/platform", dependencies=[Depends(Public("platform.describe"))])
async def describe(info: Annotated[PlatformInfo, Depends(service("platform"))]) -> PlatformInfo:
    """Version, address, and what people must know."""
    return info
