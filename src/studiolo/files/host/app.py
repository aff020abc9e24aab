"""The file host's HTTP application: who asks, may they, what for. The addresses are in `addresses`."""

import logging
from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web

from studiolo.contract.errors import Denied, Internal, InvalidInput, NotFound, NotSignedIn, StudioloError
from studiolo.contract.problems import MEDIA_TYPE, members_of, status_of
from studiolo.files.host import archive, inner, raw, upload_routes
from studiolo.files.host.addresses import OPERATIONS, Address, find_address
from studiolo.files.host.asking import Ask, Handler, Services
from studiolo.files.host.callers import HEADER, SECRET_HEADER, read_caller
from studiolo.files.previews import host as preview
from studiolo.files.refusals import refusal
from studiolo.kit.shared_secret import is_shared

SERVICES = web.AppKey("services", Services)
_PREFIX = "/files/"
# By which the front door names a request in all logs and answers.
_REQUEST_ID = "X-Request-Id"

HANDLERS: dict[Address, Handler] = {
    Address("GET", "raw", True): raw.download,
    Address("GET", "zip", False): archive.download,
    Address("GET", "preview", True): preview.show,
    Address("OPTIONS", "uploads", False): upload_routes.describe,
    Address("POST", "uploads", False): upload_routes.create,
    Address("HEAD", "uploads", True): upload_routes.look,
    Address("PATCH", "uploads", True): upload_routes.receive,
    Address("DELETE", "uploads", True): upload_routes.give_up,
}

_log = logging.getLogger(__name__)


def create_app(services: Services) -> web.Application:
    """Return the application."""
    app = web.Application()
    app[SERVICES] = services
    app.router.add_route("*", "/{path:.*}", _answer)
    app.on_response_prepare.append(_name_request)
    return app


async def _name_request(request: web.Request, response: web.StreamResponse) -> None:
    if named := request.headers.get(_REQUEST_ID):
        response.headers[_REQUEST_ID] = named


async def _answer(request: web.Request) -> web.StreamResponse:
    """Answer any request; no exception gets out, no trace reaches anybody."""
    services = request.app[SERVICES]
    try:
        return await _dispatch(request, services)
    except StudioloError as exc:
        if exc.detail:
            _log.warning("%s: %s request_id=%s", exc.code, exc.detail, _id_of(request))
        return _problem(exc, request)
    except web.HTTPException as exc:
        return _problem(InvalidInput("request-invalid", f"{HTTPStatus(exc.status).phrase}."), request)
    except ConnectionError:
        raise
    except OSError as exc:
        _log.exception("A request failed request_id=%s", _id_of(request))
        return _problem(refusal(exc, ""), request)
    except Exception:
        _log.exception("A request failed request_id=%s", _id_of(request))
        fault = Internal(
            "internal", "Something unexpected went wrong in the file host.", hint="Its log has the detail."
        )
        return _problem(fault, request)


async def _dispatch(request: web.Request, services: Services) -> web.StreamResponse:
    if not is_shared(request.headers.get(SECRET_HEADER, ""), services.secret):
        raise NotSignedIn("not-signed-in", "Requests come through the front door only.")
    path = request.raw_path.partition("?")[0]
    if path.startswith(inner.PREFIX):
        return await inner.answer(request, path.removeprefix(inner.PREFIX), services)
    caller = read_caller(request.headers.get(HEADER, ""))
    rest = path.removeprefix(_PREFIX).partition("/")[2]
    address = find_address(request.method, rest)
    if address is None:
        raise NotFound("route-not-found", "There is nothing at this address.")
    if OPERATIONS[address] != caller.operation:
        raise Denied("denied", "The front door let this pass for something else.")
    try:
        named = unquote(rest.partition("/")[2], errors="strict")
    except UnicodeDecodeError as exc:
        raise InvalidInput("name-invalid", "The path in this address is no text (UTF-8).") from exc
    ask = Ask(request, caller, services, named)
    async with ask.watched():
        return await HANDLERS[address](ask)


def _id_of(request: web.Request) -> str | None:
    return request.headers.get(_REQUEST_ID)


def _problem(error: StudioloError, request: web.Request) -> web.Response:
    headers = {"Tus-Resumable": upload_routes.VERSION}
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    told = members_of(error) | {"request_id": _id_of(request)}
    return web.json_response(told, status=status_of(error), content_type=MEDIA_TYPE, headers=headers)
