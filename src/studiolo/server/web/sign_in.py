"""Sign in by password or one-time link, and out."""

from typing import Annotated

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.server.http.identity import Public
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.render import local, render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_SignsIn = Annotated[Principal | None, Depends(Public("account.sign-in"))]
_Next = Annotated[str, Form(max_length=4000)]
_Link = Annotated[str, Query(max_length=200)]


@router.get("/sign-in")
async def show(
    request: Request,
    who: _SignsIn,
    services: ServicesOf,
    next: Annotated[str, Query(max_length=4000)] = "/",
    link: _Link = "",
) -> Response:
    """The form; with `link`, the question whether to use that link. Nothing changes here."""
    if link:
        return await _ask_link(request, services, link, next)
    if who is not None and who.via == "login":
        return see(local(next))
    return await render(request, "sign_in.html", None, next=local(next), name="")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    _: _SignsIn,
    services: ServicesOf,
    name: Annotated[str, Form(max_length=254)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    next: _Next = "/",
) -> Response:
    """Sign in by name and password."""
    services.identity.check_origin(request)
    try:
        token = await services.accounts.sign_in_password(name.strip(), password, agent_of(request))
    except StudioloError as problem:
        return await render(
            request, "sign_in.html", None, status=status_of(problem), problem=problem, next=local(next), name=name
        )
    return signed_in(services, token, next)


@router.post("/sign-in/link")
async def use_link(
    request: Request,
    _: _SignsIn,
    services: ServicesOf,
    link: Annotated[str, Form(max_length=200)] = "",
    next: _Next = "/",
) -> Response:
    """Use a one-time link up."""
    services.identity.check_origin(request)
    try:
        token = await services.accounts.sign_in_link(link, agent_of(request))
    except StudioloError as problem:
        return await _show_link(request, link, next, problem=problem)
    return signed_in(services, token, next)


@router.post("/sign-out")
async def sign_out(
    request: Request,
    who: Annotated[Principal | None, Depends(Public("account.sign-out"))],
    services: ServicesOf,
) -> Response:
    """End this login."""
    if who is not None and who.via == "login":
        await services.identity.check_form(request, who)
        await services.accounts.sign_out(who)
    response = see("/signed-out")
    response.delete_cookie(services.cookies.login, path="/", secure=services.cookies.secure, httponly=True)
    return response


@router.get("/signed-out", dependencies=[Depends(Public("account.sign-out"))])
async def signed_out(request: Request) -> Response:
    """Say that it is done."""
    return await render(request, "signed_out.html", None)


async def _ask_link(request: Request, services: Services, link: str, next_: str) -> Response:
    try:
        name = await services.accounts.find_link(link)
    except StudioloError as problem:
        return await _show_link(request, link, next_, problem=problem)
    return await _show_link(request, link, next_, name=name)


async def _show_link(
    request: Request, link: str, next_: str, *, name: str = "", problem: StudioloError | None = None
) -> Response:
    status = status_of(problem)
    return await render(
        request, "sign_in_link.html", None, status=status, problem=problem, link=link, next=local(next_), name=name
    )


def signed_in(services: Services, token: str, next_: str) -> Response:
    """Answer with a login's cookie, and go on to `next_`."""
    response = see(local(next_))
    lifetime = int(services.settings.accounts.login_lifetime.total_seconds())
    response.set_cookie(
        services.cookies.login,
        token,
        max_age=lifetime,
        path="/",
        secure=services.cookies.secure,
        httponly=True,
        samesite="lax",
    )
    return response


def agent_of(request: Request) -> str:
    """Return what the browser calls itself."""
    return request.headers.get("user-agent", "")
