"""The ways into a session: `/go/{id}` on the platform, `/_studiolo/…` at the session's own origin."""

import secrets
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import Denied, NotFound, NotSignedIn
from studiolo.contract.models import Session, SessionState
from studiolo.contract.operations import OPERATIONS
from studiolo.engines.base import Fronts
from studiolo.server.fronts import needs_origin
from studiolo.server.http.hosts import Host, HostKind
from studiolo.server.http.identity import Allow, Public
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.sessions.entry import hash_nonce
from studiolo.server.web.render import here, render, see
from studiolo.server.web.routing import pages_router
from studiolo.server.web.sessions import show_session

router = pages_router()
# Nobody sees a page for a start that takes less.
_PATIENCE_SECONDS = 0.3
_NONCE_SECONDS = 300
_MAX_NEXT = 2000
_Next = Annotated[str, Query(max_length=_MAX_NEXT)]


@router.get("/go/{session_id}")
async def go(
    request: Request,
    session_id: str,
    who: Annotated[Principal | None, Depends(Public("account.sign-in"))],
    next: _Next = "lab",
    bind: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
) -> Response:
    """Enter a session: sign in first, wait for it, then go to where it is served."""
    if who is None:
        return see(f"/sign-in?{urlencode({'next': here(request)})}")
    services = _services(request)
    session = await services.sessions.get(who, session_id, wait_seconds=_PATIENCE_SECONDS)
    await _check_may_enter(services, who, session)
    if session.state is not SessionState.RUNNING:
        return await show_session(request, who, session, entering=True, inside=next)
    if session.has_password and not await _knows_password(services, who, session, None):
        return await render(request, "session_password.html", who, session=session, next=next)
    return await _enter(request, services, who, session, next, bind)


@router.post("/go/{session_id}")
async def go_with_password(
    request: Request,
    session_id: str,
    who: Annotated[Principal, Depends(Allow("session.enter"))],
    password: Annotated[str, Form(max_length=255)],
    next: Annotated[str, Form(max_length=_MAX_NEXT)] = "lab",
) -> Response:
    """Enter a session that was started with a password."""
    services = _services(request)
    session = await services.sessions.get(who, session_id)
    await _check_may_enter(services, who, session)
    if not await _knows_password(services, who, session, password):
        problem = Denied("session-password-needed", "This is not the session's password.")
        return await render(
            request, "session_password.html", who, status=403, session=session, next=next, problem=problem
        )
    return see(f"/go/{session.id}?{urlencode({'next': next})}")


@router.get("/_studiolo/begin", dependencies=[Depends(Public("account.sign-in"))])
async def begin(request: Request, next: _Next = "lab") -> Response:
    """At a session's origin: give this browser a nonce that the code will be bound to."""
    host, services = _session_host(request), _services(request)
    nonce = secrets.token_urlsafe(24)
    query = urlencode({"bind": hash_nonce(nonce), "next": next})
    response = see(f"{services.hosts.address}/go/{host.session_id}?{query}")
    cookies = services.cookies
    response.set_cookie(
        cookies.nonce, nonce, max_age=_NONCE_SECONDS, path="/", secure=cookies.secure, httponly=True, samesite="lax"
    )
    return response


@router.get("/_studiolo/enter", dependencies=[Depends(Public("account.sign-in"))])
async def enter(
    request: Request,
    code: Annotated[str, Query(max_length=100)],
    next: _Next = "lab",
) -> Response:
    """At a session's origin: exchange the single-use code for the session's cookie."""
    host, services = _session_host(request), _services(request)
    nonce = request.cookies.get(services.cookies.nonce, "")
    token = await services.entry.redeem(host.session_id or "", code, nonce)
    response = see(_inside(host.session_id or "", next))
    response.delete_cookie(services.cookies.nonce, path="/", secure=services.cookies.secure, httponly=True)
    _set_entry(response, services, token, path="/")
    return response


async def _enter(
    request: Request, services: Services, who: Principal, session: Session, inside: str, bind: str | None
) -> Response:
    if who.login_id is None:
        raise NotSignedIn("not-signed-in", "Programs use /s/{id}/ with their key.", hint=session.api_url)
    agent = request.headers.get("user-agent", "")
    if services.hosts.has_own_origins(request.headers["host"], agent):
        origin = services.hosts.session_origin(session.id)
        if bind is None:
            return see(f"{origin}/_studiolo/begin?{urlencode({'next': inside})}")
        code = await services.entry.mint(who, session.id, bind)
        return see(f"{origin}/_studiolo/enter?{urlencode({'code': code, 'next': inside})}")
    if isinstance(services.engines.of(session.engine), Fronts):
        raise needs_origin()
    token = await services.entry.enter_shared(who, session.id)
    response = see(_inside(session.id, inside))
    _set_entry(response, services, token, path=f"/s/{session.id}/")
    return response


async def _check_may_enter(services: Services, who: Principal, session: Session) -> None:
    """Only the person of a session enters it; others who see it are told so."""
    who.require("session.enter")
    if session.person.id != who.person_id:
        raise Denied(
            "denied",
            f"To {OPERATIONS['session.enter'].summary.lower()} you need to be its person; "
            f"this one is {session.person.display_name}'s.",
            hint=f"Start one of your own in {session.workspace.owner}/{session.workspace.name}.",
        )


async def _knows_password(services: Services, who: Principal, session: Session, given: str | None) -> bool:
    return await services.entry.knows_password(who.login_id or "", session.id, given)


def _set_entry(response: Response, services: Services, token: str, *, path: str) -> None:
    response.set_cookie(
        services.cookies.entry, token, path=path, secure=services.cookies.secure, httponly=True, samesite="lax"
    )


def _inside(session_id: str, inside: str) -> str:
    # Below the session's base path whatever was asked for, so that nothing redirects elsewhere.
    return f"/s/{session_id}/{quote(inside.lstrip('/') or 'lab', safe='/?&=%~:;,+@!$()*.-_')}"


def _session_host(request: Request) -> Host:
    host: Host = request.scope["studiolo_host"]
    if host.kind is not HostKind.SESSION:
        raise NotFound("route-not-found", "There is nothing at this address.")
    return host


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services
