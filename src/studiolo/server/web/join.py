"""Join by an invitation: choose name and password. Looking at the page uses nothing up."""

from typing import Annotated, Any

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import NotFound, StudioloError
from studiolo.contract.people import Join
from studiolo.server.http.identity import Public
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render
from studiolo.server.web.routing import ServicesOf, pages_router, status_of
from studiolo.server.web.sign_in import agent_of, signed_in

router = pages_router()
_Accepts = Annotated[Principal | None, Depends(Public("invitation.accept"))]
_Token = Annotated[str, Form(max_length=200)]


@router.get("/join")
async def show(
    request: Request,
    who: _Accepts,
    services: ServicesOf,
    invitation: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The form, if the invitation still counts."""
    return await _show(request, services, who, invitation)


@router.post("/join")
async def join(
    request: Request,
    who: _Accepts,
    services: ServicesOf,
    invitation: _Token = "",
    name: Annotated[str, Form(max_length=63)] = "",
    display_name: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
) -> Response:
    """Use the invitation up, and sign in; one lands in the one workspace that came with it, or at home."""
    services.identity.check_origin(request)
    given = {"name": name.strip(), "display_name": display_name.strip()}
    try:
        brings = (await services.invitations.preview(invitation)).workspaces
        form = forms.read(
            Join, token=invitation, name=given["name"], password=password, display_name=given["display_name"] or None
        )
        token = await services.invitations.join_browser(form, agent_of(request))
    except StudioloError as problem:
        return await _show(request, services, who, invitation, problem=problem, form=given)
    return signed_in(services, token, f"/w/{brings[0].workspace.id}" if len(brings) == 1 else "/")


async def _show(
    request: Request,
    services: Services,
    who: Principal | None,
    token: str,
    *,
    problem: StudioloError | None = None,
    form: dict[str, Any] | None = None,
) -> Response:
    preview = None
    try:
        preview = await services.invitations.preview(token)
    except NotFound as gone:
        problem = gone
    proposed = {"name": preview.name if preview else "", "display_name": ""}
    return await render(
        request,
        "join.html",
        None,
        status=status_of(problem),
        problem=problem,
        preview=preview,
        signed_in_as=who.display_name if who else None,
        invitation=token,
        at_least=services.settings.accounts.password_min_length,
        form=form or proposed,
    )
