"""Kernelspecs that people make for a workspace: the form on its page of kernels that adds one, and their removal."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.contract.kernels import KernelSpecCreate
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web import forms
from studiolo.server.web.kernels import show_workspace
from studiolo.server.web.render import see
from studiolo.server.web.routing import ServicesOf, pages_router

router = pages_router()
_Text = Annotated[str, Form(max_length=1000)]


@router.post("/w/{workspace}/kernelspecs")
async def add(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("kernelspec.create"))],
    services: ServicesOf,
    name: _Text = "",
    base: _Text = "",
    display_name: _Text = "",
    cpu: _Text = "",
    memory: _Text = "",
    variables: Annotated[str, Form(max_length=100_000)] = "",
) -> Response:
    """Offer another kernel, made from one that is there."""
    given = {"name": name, "base": base, "display_name": display_name, "cpu": cpu, "memory": memory}
    kept = {field: value.strip() for field, value in given.items() if value.strip() or field == "name"}
    try:
        form = forms.read(KernelSpecCreate, **kept, variables=_variables(variables))
        await services.kernels.create_spec(who, workspace, form)
    except StudioloError as problem:
        given |= {"variables": variables}
        return await show_workspace(request, who, services, workspace, problem=problem, given_spec=given)
    return see(f"/w/{workspace}/kernels#specs", "kernel-added")


@router.post("/w/{workspace}/kernelspecs/{name}/remove")
async def remove(
    request: Request,
    workspace: str,
    name: str,
    who: Annotated[Principal, Depends(Allow("kernelspec.remove"))],
    services: ServicesOf,
) -> Response:
    """Offer one that was made no longer."""
    try:
        await services.kernels.remove_spec(who, workspace, name)
    except StudioloError as problem:
        return await show_workspace(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/kernels#specs", "kernel-removed")


def _variables(text: str) -> dict[str, str]:
    """Read NAME=VALUE, one a line. Raises InvalidInput that lists the field."""
    lines = [line for line in text.splitlines() if line.strip()]
    pairs = [line.partition("=") for line in lines]
    for number, (name, mark, _) in enumerate(pairs, 1):
        if not mark or not name.strip():
            message = f"Line {number} is no NAME=VALUE."
            errors = [{"location": "variables", "message": message}]
            raise InvalidInput("request-invalid", f"Variables: {message}", errors=errors)
    return {name.strip(): value for name, _, value in pairs}
