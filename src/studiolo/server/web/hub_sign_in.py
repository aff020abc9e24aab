"""Sign in with a JupyterHub: there, and back."""

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from studiolo.contract.errors import NotFound, StudioloError
from studiolo.server.accounts.hub_sign_in import CALLBACK, LIFETIME
from studiolo.server.http.identity import Public
from studiolo.server.services import Services
from studiolo.server.web.render import local, render
from studiolo.server.web.routing import ServicesOf, pages_router, status_of
from studiolo.server.web.sign_in import agent_of, signed_in

router = pages_router()
_PUBLIC = [Depends(Public("account.sign-in-hub"))]
_Text = Annotated[str, Query(max_length=2000)]


@router.get("/sign-in/jupyterhub", dependencies=_PUBLIC)
async def begin(request: Request, services: ServicesOf, next: Annotated[str, Query(max_length=4000)] = "/") -> Response:
    """Go to the Hub. Not a form's answer: a page of ours may send forms to us alone."""
    try:
        begun = await services.hub_sign_in.begin(local(next))
    except StudioloError as problem:
        return await _refuse(request, services, problem, local(next))
    response = RedirectResponse(begun.url, status_code=303)
    response.set_cookie(
        services.cookies.hub,
        begun.pending,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        secure=services.cookies.secure,
        httponly=True,
        # It comes back from the Hub by a link.
        samesite="lax",
    )
    return response


@router.get(CALLBACK, dependencies=_PUBLIC)
async def finish(request: Request, services: ServicesOf, state: _Text = "", code: _Text = "") -> Response:
    """Come back from the Hub; without a code, it refused."""
    pending = request.cookies.get(services.cookies.hub, "")
    try:
        token, next_ = await services.hub_sign_in.finish(pending, state=state, code=code, user_agent=agent_of(request))
    except StudioloError as problem:
        response = await _refuse(request, services, problem, "/")
    else:
        response = signed_in(services, token, next_)
    response.delete_cookie(services.cookies.hub, path="/", secure=services.cookies.secure, httponly=True)
    return response


async def _refuse(request: Request, services: Services, problem: StudioloError, next_: str) -> Response:
    if isinstance(problem, NotFound):
        raise problem
    return await render(request, "sign_in.html", None, status=status_of(problem), problem=problem, next=next_, name="")
