"""Errors of pages, as pages; and what happens to somebody who is not signed in."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from studiolo.contract.errors import Internal, NotFound, NotSignedIn, StudioloError
from studiolo.contract.problems import status_of
from studiolo.server.http.hosts import HostKind
from studiolo.server.http.identity import Identity
from studiolo.server.http.problems import fault, from_http, from_validation, problem
from studiolo.server.principal import Principal
from studiolo.server.web.render import here, render, see

_log = structlog.get_logger(__name__)
# Whoever is no administrator learns nothing from an address of theirs.
_HIDDEN_PATHS = "/admin/"


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler, dependencies included."""
        handle = super().get_route_handler()

        async def handle_with_pages(request: Request) -> Response:
            try:
                return await handle(request)
            except StudioloError as error:
                return await problem_page(request, error)
            except RequestValidationError as error:
                return await problem_page(request, from_validation(error))
            except HTTPException as error:
                return await problem_page(request, from_http(error, request))
            except Exception:
                return await problem_page(request, _fault(request))

        return handle_with_pages


async def problem_page(request: Request, error: StudioloError) -> Response:
    """Return the page for an error; at a session's own origin, which has none of our files, the plain reply."""
    if request.scope["studiolo_host"].kind is not HostKind.PLATFORM:
        return problem(error, request.scope.get("request_id"))
    if isinstance(error, NotSignedIn):
        return _to_sign_in(request, error)
    if error.code == "denied" and f"{request.url.path}/".startswith(_HIDDEN_PATHS):
        error = NotFound("route-not-found", "There is nothing at this address.")
    status, who = status_of(error), await _find(request)
    return await render(request, "problem.html", who, status=status, **explain(error, request))


def explain(error: StudioloError, request: Request) -> dict[str, Any]:
    """Return the words of the problem page: heading, lines, code, whether trying again makes sense."""
    request_id = request.scope.get("request_id")
    is_fault = error.kind in ("internal", "unavailable")
    if error.kind == "not-found":
        lines = ["It does not exist, or it is not shared with you. Its owner can add you."]
        return {"heading": "Nothing here that you can see.", "lines": lines, "code": None, "again": False}
    headings = {"internal": "Something went wrong on our side", "unavailable": "This does not answer now"}
    lines = [error.message] if error.kind in headings else []
    if error.hint:
        lines.append(error.hint)
    if error.kind == "internal":
        lines.append("What runs goes on running, and saved files are safe.")
    details = "\n".join(
        (
            f"code: {error.code}",
            f"message: {error.message}",
            f"request: {request_id}",
            f"at: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            f"address: {request.method} {request.url.path}",
        )
    )
    return {
        "heading": headings.get(error.kind, error.message),
        "lines": lines,
        "code": error.code,
        "request_id": request_id,
        "details": details,
        "again": is_fault,
    }


def _fault(request: Request) -> Internal:
    request_id: str = request.scope["request_id"]
    _log.exception("page-failed", request_id=request_id, method=request.method, path=request.url.path[:256])
    return fault(request_id)


def _to_sign_in(request: Request, error: NotSignedIn) -> Response:
    is_part = "hx-request" in request.headers
    # A fragment's own address is no page: come back to the page that holds it.
    current = urlsplit(request.headers.get("hx-current-url", ""))
    back = (current.path + (f"?{current.query}" if current.query else "")) if is_part else here(request)
    said = {"said": "login-ended"} if error.code == "login-ended" else {}
    if request.method != "GET":
        back, said = "/", {"said": "nothing-changed"}
    address = f"/sign-in?{urlencode({'next': back} | said)}"
    return Response(status_code=204, headers={"HX-Redirect": address}) if is_part else see(address)


async def _find(request: Request) -> Principal | None:
    identity: Identity = request.app.state.identity
    try:
        return await identity.find(request)
    except StudioloError:
        return None
