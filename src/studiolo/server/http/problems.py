"""Every error leaves as one shape: RFC 9457 `application/problem+json`."""

import html
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from studiolo.contract.errors import Internal, InvalidInput, NotFound, StudioloError
from studiolo.contract.problems import MEDIA_TYPE, members_of, status_of

# For the description of the API: any operation may answer so.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong, and what to do about it.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def problem(error: StudioloError, request_id: str | None = None) -> JSONResponse:
    """Return the reply for an error; only what is meant for the person is in it."""
    status = status_of(error)
    body = members_of(error) | {"request_id": request_id}
    headers = {"Retry-After": str(error.extra["retry_after"])} if "retry_after" in error.extra else None
    if status == 401:
        headers = {"WWW-Authenticate": 'Bearer realm="studiolo"'}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def bare_page(error: StudioloError, request_id: str | None = None) -> HTMLResponse:
    """Return the reply for a browser on a Host where none of our files are: words alone."""
    lines = (error.message, error.hint or "", f"Code {error.code}, request {request_id}")
    text = "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Studiolo</title>'
    return HTMLResponse(f'<!doctype html><html lang="en">{head}<main>{text}</main></html>', status_of(error))


def install(app: FastAPI) -> None:
    """Make every error of the API a problem reply."""

    @app.exception_handler(StudioloError)
    async def _ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, StudioloError)
        return problem(error, request.scope.get("request_id"))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(from_validation(error), request.scope.get("request_id"))

    @app.exception_handler(HTTPException)
    async def _plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        ours = from_http(error, request)
        if _is_navigation(request) and hasattr(app.state, "problem_page"):
            page: Response = await app.state.problem_page(request, ours)
            return page
        reply = problem(ours, request.scope.get("request_id"))
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # The framework tells those of the first route of this path alone.
            reply.headers["Allow"] = ", ".join(sorted(_methods_at(app, request.scope["path"])))
        return reply

    @app.exception_handler(Exception)
    async def _fault(request: Request, error: Exception) -> Response:
        # It is raised on when this has been sent, and logged at the edge.
        return problem(fault(request.scope["request_id"]), request.scope["request_id"])


def _methods_at(app: FastAPI, path: str) -> set[str]:
    found: set[str] = set()
    for context in iter_route_contexts(app.routes):
        if context.methods and compile_path(context.path or "")[0].match(path):
            found |= context.methods
    return found


def fault(request_id: str) -> Internal:
    """Return what a person may know of an unexpected exception."""
    return Internal(
        "internal",
        "Something unexpected went wrong on our side.",
        hint=f"The log of the control plane has the detail under {request_id}.",
    )


def from_validation(error: RequestValidationError) -> InvalidInput:
    """Name each field that is wrong."""
    errors = [
        {
            "location": ".".join(str(part) for part in entry["loc"] if part != "body"),
            "message": entry["msg"].removeprefix("Value error, "),
        }
        for entry in error.errors()
    ]
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    message = f"{first['location'] or 'The body'}: {first['message']}{more}."
    hint = "Send JSON, with the header Content-Type: application/json." if _is_no_json(error) else None
    return InvalidInput("request-invalid", message, hint=hint, errors=errors[:50])


def _is_no_json(error: RequestValidationError) -> bool:
    # What came as another type is handed on as bytes.
    return any(entry["loc"] == ("body",) and isinstance(entry.get("input"), bytes) for entry in error.errors())


def _is_navigation(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def from_http(error: HTTPException, request: Request) -> StudioloError:
    """Return the error for what the framework itself refuses, or for ours that it met while it read the body."""
    status = error.status_code
    if isinstance(error.__cause__, StudioloError):
        return error.__cause__
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return InvalidInput("method-not-allowed", f"{request.method} is not possible at this address.")
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(
            "route-not-found",
            "There is nothing at this address.",
            hint="The addresses are listed at /api/v1/openapi.json.",
        )
    return InvalidInput("request-invalid", "The body cannot be read: it is no JSON, no form, or nested too deeply.")
