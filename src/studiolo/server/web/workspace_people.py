"""One workspace: who has access."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import MemberSet
from studiolo.contract.operations import Role
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=4000)]


@router.get("/w/{workspace}/people")
async def people(
    request: Request, workspace: str, who: Annotated[Principal, Depends(Allow("workspace.read"))], services: ServicesOf
) -> Response:
    """A workspace: who has access."""
    return await _show_people(request, who, services, workspace)


@router.post("/w/{workspace}/people")
async def set_member(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("member.set"))],
    services: ServicesOf,
    person: _Text = "",
    role: _Text = "",
) -> Response:
    """Add somebody or change their role."""
    before = {member.person.id for member in await services.members.list_members(who, workspace)}
    try:
        member = await services.members.set_member(
            who, workspace, forms.read(MemberSet, person=person.strip(), role=role)
        )
    except StudioloError as problem:
        form = {"person": person, "role": role}
        return await _show_people(request, who, services, workspace, problem=problem, form=form)
    return see(f"/w/{workspace}/people", "role" if member.person.id in before else "added")


@router.post("/w/{workspace}/people/remove")
async def remove_member(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("member.remove"))],
    services: ServicesOf,
    person: _Text = "",
) -> Response:
    """Take somebody's access away, or leave."""
    try:
        await services.members.remove_member(who, workspace, person)
    except StudioloError as problem:
        return await _show_people(request, who, services, workspace, problem=problem)
    return see("/", "left") if person == who.person_id else see(f"/w/{workspace}/people", "removed")


async def _show_people(
    request: Request,
    who: Principal,
    services: ServicesOf,
    reference: str,
    *,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    own = await services.workspaces.get(who, reference)
    return await render(
        request,
        "workspace_people.html",
        who,
        status=status_of(problem),
        workspace=own,
        members=await services.members.list_members(who, own.id),
        roles=[role.value for role in Role],
        problem=problem,
        canonical=f"/w/{own.id}/people",
        form=form or {"person": "", "role": ""},
    )
