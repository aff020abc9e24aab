"""REST of images that are made of a workspace's environment."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from studiolo.contract.images import EnvironmentImage, ImageBuild
from studiolo.contract.models import Page
from studiolo.server.environments.images.service import Images
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/jupyter/workspaces/{workspace}/environment/images", tags=["environments"])
_Images = Annotated[Images, Depends(service("environment_images"))]
_Reads = Annotated[Principal, Depends(Allow("image.read"))]
_Changes = Annotated[Principal, Depends(Allow("image.change"))]


@router.post("", status_code=202)
async def build_image(workspace: str, form: ImageBuild, who: _Changes, images: _Images) -> EnvironmentImage:
    """Make an image of the live environment; one that was made of the same is found again."""
    return await images.begin(who, workspace, form)


@router.get("")
async def list_images(workspace: str, who: _Reads, images: _Images) -> Page[EnvironmentImage]:
    """Its images, newest first; what is under way, or was not made, comes before; one page has all."""
    found = await images.list_(who, workspace)
    return Page(items=found, total=len(found))


@router.get("/{image}")
async def get_image(
    workspace: str,
    image: str,
    who: _Reads,
    images: _Images,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for its end.")] = 0,
) -> EnvironmentImage:
    """One image; with `wait` once it is made, or is not."""
    return await images.get(who, workspace, image, wait_seconds=wait)


@router.delete("/{image}", status_code=204)
async def remove_image(workspace: str, image: str, who: _Changes, images: _Images) -> Response:
    """Remove it; cancel it while it is being made."""
    await images.remove(who, workspace, image)
    return Response(status_code=204)
