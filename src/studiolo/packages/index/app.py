"""The index host's HTTP application: who asks, by which policy, for which ecosystem."""

import json
import logging
import sqlite3
from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web

from studiolo.contract.errors import Internal, InvalidInput, NotFound, NotSignedIn, StudioloError, Unavailable
from studiolo.contract.problems import MEDIA_TYPE, members_of, status_of
from studiolo.kit.shared_secret import is_shared
from studiolo.packages.index import facts, simple
from studiolo.packages.index.asking import Ask, Handler, Services
from studiolo.packages.index.callers import HEADER, SECRET_HEADER, read_caller

SERVICES = web.AppKey("services", Services)
_METHODS = frozenset({"GET", "HEAD"})

_log = logging.getLogger(__name__)


def create_app(services: Services) -> web.Application:
    """Return the application."""
    app = web.Application()
    app[SERVICES] = services
    app.router.add_route("*", "/{path:.*}", _answer)
    return app


async def _answer(request: web.Request) -> web.StreamResponse:
    """Answer any request; no exception gets out, no trace reaches anybody."""
    try:
        return await _dispatch(request, request.app[SERVICES])
    except StudioloError as exc:
        if exc.detail:
            _log.warning("%s: %s", exc.code, exc.detail)
        return _problem(exc)
    except web.HTTPMovedPermanently as exc:
        return web.Response(status=exc.status, headers={"Location": str(exc.location), "Cache-Control": "no-cache"})
    except web.HTTPException as exc:
        refused = _problem(InvalidInput("request-invalid", f"{HTTPStatus(exc.status).phrase}."), exc.status)
        refused.headers.extend({name: exc.headers[name] for name in ("Allow",) if name in exc.headers})
        return refused
    except ConnectionError:
        raise
    except (OSError, sqlite3.Error):
        _log.exception("A request failed")
        words = "The package index cannot read or write what it keeps."
        return _problem(
            Unavailable("packages-unavailable", words, hint="Its log has the detail; the disk may be full.")
        )
    except Exception:
        _log.exception("A request failed")
        words = "Something unexpected went wrong in the package index."
        return _problem(Internal("internal", words, hint="Its log has the detail."))


async def _dispatch(request: web.Request, services: Services) -> web.StreamResponse:
    if not is_shared(request.headers.get(SECRET_HEADER, ""), services.secret):
        raise NotSignedIn("not-signed-in", "Requests come through the front door only.")
    if request.method not in _METHODS:
        raise web.HTTPMethodNotAllowed(request.method, _METHODS)
    caller = read_caller(request.headers.get(HEADER, ""))
    parts = request.raw_path.partition("?")[0].split("/")[1:]
    if parts[0] == "w":
        # By whose policy, the front door has said.
        parts = parts[2:]
    handlers: dict[str, Handler] = {"pypi": simple.answer, "conda": services.conda, "facts": facts.answer}
    handler = handlers.get(parts[0] if parts else "")
    if handler is None:
        raise NotFound("route-not-found", "There is nothing at this address.")
    policy = await services.policies.get(caller.policy)
    return await handler(Ask(request, caller, policy, services, tuple(map(_decoded, parts[1:]))))


def _decoded(part: str) -> str:
    try:
        found = unquote(part, errors="strict") if "%" in part else part
    except UnicodeDecodeError as exc:
        raise InvalidInput("name-invalid", "The path in this address is no text (UTF-8).") from exc
    if "/" in found or "\0" in found:
        raise NotFound("route-not-found", "There is nothing at this address.")
    return found


def _problem(error: StudioloError, status: int | None = None) -> web.Response:
    # uv shows it to people only where its type is this and nothing after it.
    headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    found = status_of(error) if status is None else status
    return web.Response(body=json.dumps(members_of(error) | {"status": found}), status=found, headers=headers)
