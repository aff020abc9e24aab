"""Pages for administrators: what one person has access to, and what can be done about it."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=254)]


@router.get("/admin/people/{person}")
async def access(
    request: Request, person: str, who: Annotated[Principal, Depends(Allow("person.read"))], services: ServicesOf
) -> Response:
    """All that a person can reach, and has open."""
    return await _show(request, who, services, person)


@router.post("/admin/people/{person}/suspend")
async def suspend(
    request: Request, person: str, who: Annotated[Principal, Depends(Allow("person.suspend"))], services: ServicesOf
) -> Response:
    """Keep them out."""
    try:
        await services.suspension.suspend(who, person)
    except StudioloError as problem:
        return await _show(request, who, services, person, problem=problem)
    return see(f"/admin/people/{person}", "suspended")


@router.post("/admin/people/{person}/reinstate")
async def reinstate(
    person: str, who: Annotated[Principal, Depends(Allow("person.suspend"))], services: ServicesOf
) -> Response:
    """Let them back in."""
    await services.suspension.reinstate(who, person)
    return see(f"/admin/people/{person}", "reinstated")


@router.post("/admin/people/{person}/administrator")
async def set_admin(
    request: Request,
    person: str,
    who: Annotated[Principal, Depends(Allow("person.promote"))],
    services: ServicesOf,
    is_admin: _Text = "",
) -> Response:
    """Make them administrator, or no longer."""
    try:
        await services.suspension.set_admin(who, person, is_admin == "yes")
    except StudioloError as problem:
        return await _show(request, who, services, person, problem=problem)
    return see("/" if who.person_id == person and is_admin != "yes" else f"/admin/people/{person}", "changed")


@router.post("/admin/people/{person}/hand-over")
async def hand_over(
    request: Request,
    person: str,
    who: Annotated[Principal, Depends(Allow("person.hand-over"))],
    services: ServicesOf,
    to: _Text = "",
) -> Response:
    """Hand all that they own over to another."""
    try:
        await services.holdings.hand_over(who, person, to.strip())
    except StudioloError as problem:
        return await _show(request, who, services, person, problem=problem, to=to)
    return see(f"/admin/people/{person}", "handed-over")


@router.post("/admin/people/{person}/erase")
async def erase(
    request: Request,
    person: str,
    who: Annotated[Principal, Depends(Allow("person.erase"))],
    services: ServicesOf,
    confirm: _Text = "",
) -> Response:
    """Erase what is personal of them, for good."""
    try:
        await services.suspension.erase(who, person, confirm=confirm.strip())
    except StudioloError as problem:
        return await _show(request, who, services, person, problem=problem)
    return see("/admin/people", "erased")


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    person: str,
    *,
    problem: StudioloError | None = None,
    to: str = "",
) -> Response:
    found = await services.directory.access(who, person)
    return await render(
        request,
        "person.html",
        who,
        status=status_of(problem),
        person=found.person,
        access=found,
        owned=[one for one in found.workspaces if one.workspace.owner == found.person.name],
        to=to,
        problem=problem,
        canonical=f"/admin/people/{found.person.id}",
    )
