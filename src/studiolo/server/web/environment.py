"""The environment of a workspace: what is installed, what changes it, its builds and how they differ."""

from typing import Annotated

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.environments import BuildDifference, PackageInstall, PackageRemove, Rollback
from studiolo.contract.errors import StudioloError
from studiolo.contract.images import ImageBuild
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_Reads = Annotated[Principal, Depends(Allow("environment.read"))]
_Changes = Annotated[Principal, Depends(Allow("environment.change"))]
_ChangesImages = Annotated[Principal, Depends(Allow("image.change"))]
_Number = Annotated[int, Form(ge=0)]
_HISTORY = 20


@router.get("/w/{workspace}/environment")
async def show(
    request: Request,
    workspace: str,
    who: _Reads,
    services: ServicesOf,
    before: Annotated[int | None, Query(alias="from", ge=1)] = None,
    after: Annotated[int | None, Query(alias="to", ge=1)] = None,
    cursor: Cursor = None,
) -> Response:
    """What is installed and the builds; with `from` and `to`, what differs between two of them."""
    return await _show(request, who, services, workspace, compared=(before, after), cursor=cursor)


@router.post("/w/{workspace}/environment/install")
async def install(
    request: Request,
    workspace: str,
    who: _Changes,
    services: ServicesOf,
    packages: Annotated[str, Form(max_length=2000)] = "",
    ecosystem: Annotated[str, Form(max_length=20)] = "pypi",
) -> Response:
    """Ask for packages, separated by blanks or commas between them."""
    try:
        form = forms.read(PackageInstall, packages=_split(packages), ecosystem=ecosystem)
        await services.builds.install(who, workspace, form)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem, packages=packages)
    return see(f"/w/{workspace}/environment")


@router.post("/w/{workspace}/environment/remove")
async def remove(
    request: Request,
    workspace: str,
    who: _Changes,
    services: ServicesOf,
    package: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Ask for a package to be removed."""
    try:
        await services.builds.remove(who, workspace, forms.read(PackageRemove, packages=[package]))
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/environment")


@router.post("/w/{workspace}/environment/rollback")
async def roll_back(request: Request, workspace: str, who: _Changes, services: ServicesOf, to: _Number = 0) -> Response:
    """Ask for what an earlier build held; for what held before the live one without a number."""
    try:
        if to:
            await services.builds.roll_back(who, workspace, Rollback(to=to))
        else:
            await services.builds.undo(who, workspace)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/environment")


@router.post("/w/{workspace}/environment/cancel")
async def cancel(request: Request, workspace: str, who: _Changes, services: ServicesOf, build: _Number = 0) -> Response:
    """Cancel a build."""
    try:
        await services.builds.cancel(who, workspace, build)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/environment", "cancelled")


@router.post("/w/{workspace}/environment/image")
async def build_image(
    request: Request,
    workspace: str,
    who: _ChangesImages,
    services: ServicesOf,
    base: Annotated[str, Form(max_length=512)] = "",
    push: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Ask for an image of what the environment holds."""
    try:
        form = forms.read(ImageBuild, base=base.strip() or None, push=push == "yes")
        await services.environment_images.begin(who, workspace, form)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem, base=base)
    return see(f"/w/{workspace}/environment")


@router.post("/w/{workspace}/environment/image/remove")
async def remove_image(
    request: Request,
    workspace: str,
    who: _ChangesImages,
    services: ServicesOf,
    image: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Remove an image, or cancel it."""
    try:
        await services.environment_images.remove(who, workspace, image)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/environment")


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str,
    *,
    compared: tuple[int | None, int | None] = (None, None),
    cursor: str | None = None,
    problem: StudioloError | None = None,
    packages: str = "",
    base: str = "",
) -> Response:
    own = await services.workspaces.get(who, workspace)
    difference: BuildDifference | None = None
    before, after = compared
    if before is not None and after is not None:
        difference = await services.build_history.difference(who, own.id, before, after)
    builds = await services.build_history.list_builds(who, own.id, cursor=cursor, limit=_HISTORY)
    address = f"/w/{own.id}/environment"
    return await render(
        request,
        "workspace_environment.html",
        who,
        status=status_of(problem),
        workspace=own,
        environment=await services.build_history.details(who, own.id),
        builds=builds.items,
        difference=difference,
        seen=await services.environment_images.seen(who, own.id),
        typed_base=base,
        problem=problem,
        typed=packages,
        canonical=address if problem else None,
        **pager(address, builds.next_cursor, cursor),
    )


def _split(text: str) -> list[str]:
    """Return packages as people write them in a line; versions may have commas, so only blanks separate."""
    return text.replace(", ", " ").split()
