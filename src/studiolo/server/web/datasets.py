"""Datasets: what people may read, and for administrators the register."""

from typing import Annotated, Any

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.datasets import DatasetCreate, DatasetUpdate
from studiolo.contract.errors import StudioloError
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_HERE = "/datasets"
_Text = Annotated[str, Form(max_length=10_000)]
_EMPTY = {"name": "", "folder": "", "description": "", "everybody": "yes", "people": "", "workspaces": ""}


@router.get(_HERE)
async def show(
    request: Request,
    who: Annotated[Principal, Depends(Allow("dataset.list"))],
    services: ServicesOf,
    cursor: Cursor = None,
) -> Response:
    """Those that the person may read; all of them for administrators."""
    return await _show(request, who, services, cursor=cursor)


@router.post(_HERE)
async def add(
    request: Request,
    who: Annotated[Principal, Depends(Allow("dataset.create"))],
    services: ServicesOf,
    name: _Text = "",
    folder: _Text = "",
    description: _Text = "",
    everybody: _Text = "",
    people: _Text = "",
    workspaces: _Text = "",
) -> Response:
    """Register one."""
    given = {"name": name, "folder": folder, "description": description}
    try:
        form = forms.read(DatasetCreate, **_stripped(given), **_readers(everybody, people, workspaces))
        await services.datasets.create(who, form)
    except StudioloError as problem:
        kept = given | {"everybody": everybody, "people": people, "workspaces": workspaces}
        return await _show(request, who, services, problem=problem, form=kept)
    return see(_HERE, "added")


@router.post(f"{_HERE}/{{dataset}}")
async def change(
    request: Request,
    dataset: str,
    who: Annotated[Principal, Depends(Allow("dataset.update"))],
    services: ServicesOf,
    folder: _Text = "",
    description: _Text = "",
    everybody: _Text = "",
    people: _Text = "",
    workspaces: _Text = "",
) -> Response:
    """Change one."""
    given = _stripped({"folder": folder, "description": description})
    try:
        form = forms.read(DatasetUpdate, **given, **_readers(everybody, people, workspaces))
        await services.datasets.update(who, dataset, form)
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem)
    return see(_HERE, "changed")


@router.post(f"{_HERE}/{{dataset}}/remove")
async def remove(
    request: Request,
    dataset: str,
    who: Annotated[Principal, Depends(Allow("dataset.delete"))],
    services: ServicesOf,
) -> Response:
    """Take one off the register."""
    try:
        await services.datasets.delete(who, dataset)
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem)
    return see(_HERE, "forgotten")


def _stripped(given: dict[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in given.items()}


def _readers(everybody: str, people: str, workspaces: str) -> dict[str, Any]:
    return {
        "everybody": everybody == "yes",
        "people": people.replace(",", " ").split(),
        "workspaces": workspaces.replace(",", " ").split(),
    }


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    *,
    cursor: str | None = None,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    found = await services.datasets.list_(who, everything=True, cursor=cursor, limit=PAGE_SIZE)
    return await render(
        request,
        "datasets.html",
        who,
        status=status_of(problem),
        datasets=found.items,
        form=form or _EMPTY,
        problem=problem,
        canonical=_HERE if problem else None,
        **pager(_HERE, found.next_cursor, cursor),
    )
