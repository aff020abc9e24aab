"""Bases: what environments begin from; administrators add, choose and remove them."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.environments import BaseCreate, PackageFile
from studiolo.contract.errors import StudioloError
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_HERE = "/bases"
_Changes = Annotated[Principal, Depends(Allow("base.change"))]
_Text = Annotated[str, Form(max_length=500_000)]
_EMPTY = {"name": "", "description": "", "python": "", "packages": ""}


@router.get(_HERE)
async def show(
    request: Request, who: Annotated[Principal, Depends(Allow("base.list"))], services: ServicesOf
) -> Response:
    """All of them."""
    return await _show(request, who, services)


@router.post(_HERE)
async def add(
    request: Request,
    who: _Changes,
    services: ServicesOf,
    name: _Text = "",
    description: _Text = "",
    python: _Text = "",
    packages: _Text = "",
) -> Response:
    """Add one; its packages stand one a line, as in a requirements.txt."""
    given = {"name": name.strip(), "description": description.strip(), "python": python.strip()}
    try:
        file = forms.read(PackageFile, name="packages.txt", text=packages)
        await services.bases.add(who, forms.read(BaseCreate, **given, file=file))
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem, form=given | {"packages": packages})
    return see(_HERE, "added")


@router.post(f"{_HERE}/{{base}}/default")
async def choose(request: Request, base: str, who: _Changes, services: ServicesOf) -> Response:
    """Have new workspaces begin from it."""
    try:
        await services.bases.choose(who, base)
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem)
    return see(_HERE, "changed")


@router.post(f"{_HERE}/{{base}}/remove")
async def remove(request: Request, base: str, who: _Changes, services: ServicesOf) -> Response:
    """Take one off the catalogue."""
    try:
        await services.bases.remove(who, base)
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem)
    return see(_HERE, "forgotten")


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    *,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    return await render(
        request,
        "bases.html",
        who,
        status=status_of(problem),
        bases=await services.bases.list_(who),
        form=form or _EMPTY,
        problem=problem,
        canonical=_HERE if problem else None,
    )
