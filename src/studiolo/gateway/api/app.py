"""The host's HTTP application: who asks, may they, what for. Every address is in `ROUTES`."""

import logging
import re
from urllib.parse import unquote

from aiohttp import web

from studiolo.contract.errors import Denied, InvalidInput, StudioloError
from studiolo.gateway.api import (
    api_routes,
    cell_routes,
    document_routes,
    host_routes,
    kernel_routes,
    output_routes,
    problems,
    spec_routes,
)
from studiolo.gateway.api.asking import Ask, Handler, Route, Services
from studiolo.gateway.api.bodies import MAX_BODY_BYTES
from studiolo.gateway.api.description import describe
from studiolo.gateway.base import Caller, Right

SERVICES = web.AppKey("services", Services)
_READING = ("GET", "HEAD")
_REPLY_POLICY = "frame-ancestors 'self'; report-uri {}api/security/csp-report; default-src 'none'"

_log = logging.getLogger(__name__)


def _route(method: str, pattern: str, handler: Handler, right: Right = Right.SEE) -> Route:
    places = {
        "<kernel>": r"(?P<kernel>[\w-]{1,64})",
        "<document>": r"(?P<document>[\w-]{1,64})",
        "<spec>": r"(?P<spec>[\w.%-]{1,200})",
        "<file>": r"(?P<file>[\w.-]{1,200})",
    }
    for place, expression in places.items():
        pattern = pattern.replace(place, expression)
    return Route(method, re.compile(pattern), handler, right)


async def _description(ask: Ask) -> web.Response:
    """`GET /api/swagger.json`: this description."""
    return web.json_response(describe(ROUTES, ask.caller.prefix))


# Interrupt and restart without `api/` too: the published description of Kernel Gateway prints them so.
ROUTES = (
    _route("GET", "api", api_routes.version),
    _route("GET", r"api/(swagger\.json|swagger\.yaml|spec\.yaml)", _description),
    _route("GET", "api/status", api_routes.status),
    _route("GET", "api/me", api_routes.me),
    _route("POST", "api/security/csp-report", api_routes.note_violation),
    _route("GET", "api/kernelspecs", api_routes.list_specs),
    _route("GET", "api/kernelspecs/<spec>", api_routes.read_spec),
    _route("GET", "kernelspecs/<spec>/<file>", api_routes.read_spec_file),
    _route("GET", "api/kernels", kernel_routes.list_kernels),
    _route("POST", "api/kernels", kernel_routes.start_kernel, Right.START),
    _route("GET", "api/kernels/<kernel>", kernel_routes.read_kernel),
    _route("DELETE", "api/kernels/<kernel>", kernel_routes.end_kernel, Right.EXECUTE),
    _route("POST", "(api/)?kernels/<kernel>/interrupt", kernel_routes.interrupt_kernel, Right.EXECUTE),
    _route("POST", "(api/)?kernels/<kernel>/restart", kernel_routes.restart_kernel, Right.EXECUTE),
    _route("GET", "api/kernels/<kernel>/channels", kernel_routes.channels),
    _route("GET", "api/kernels/<kernel>/journal", output_routes.journal),
    _route("GET", "api/kernels/<kernel>/cells", cell_routes.cells),
    _route("POST", "api/kernels/<kernel>/notebook", cell_routes.insert, Right.EXECUTE),
    _route("GET", "api/kernels/<kernel>/log", output_routes.log),
    _route("GET", "api/sessions", document_routes.list_documents),
    _route("POST", "api/sessions", document_routes.create_document, Right.START),
    _route("GET", "api/sessions/<document>", document_routes.read_document),
    _route("PATCH", "api/sessions/<document>", document_routes.change_document, Right.START),
    _route("DELETE", "api/sessions/<document>", document_routes.end_document, Right.EXECUTE),
    _route("POST", "studiolo/kernelspecs", spec_routes.create_spec, Right.START),
    _route("DELETE", "studiolo/kernelspecs/<spec>", spec_routes.remove_spec, Right.START),
)


def create_app(services: Services) -> web.Application:
    """Return the application; its parts must have been started."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[SERVICES] = services
    app.router.add_route("*", "/{path:.*}", _answer)
    return app


async def _answer(request: web.Request) -> web.StreamResponse:
    """Answer any request; no exception gets out, no trace reaches anybody."""
    services = request.app[SERVICES]
    try:
        if request.method == "OPTIONS":
            response: web.StreamResponse = _preflight(services)
        elif request.path.startswith("/_host/"):
            response = await host_routes.answer(request, services)
        else:
            response = await _dispatch(request, services)
    except StudioloError as exc:
        if exc.detail:
            _log.warning("%s: %s", exc.code, exc.detail)
        response = problems.problem(exc)
    except web.HTTPException as exc:
        response = problems.problem(problems.from_http(exc))
    except OSError as exc:
        if isinstance(exc, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            # Who asked has gone, and nobody reads this.
            return web.Response(status=400)
        _log.exception("A request failed: %s", request.path)
        response = problems.problem(problems.of_system(exc))
    except Exception:
        _log.exception("A request failed: %s", request.path)
        response = problems.problem(problems.fault())
    if not response.prepared:
        _allow_origin(request, response, services)
    return response


async def _dispatch(request: web.Request, services: Services) -> web.StreamResponse:
    caller = await services.authority.identify(request.headers, request.method, request.path, request.query)
    route, names = _find_route(request, caller)
    if caller.origin is not None and _must_match_origin(request) and request.headers.get("Origin") != caller.origin:
        raise problems.foreign_origin()
    if route.right not in caller.rights:
        raise Denied("denied", "Your role in this workspace does not allow this.", hint="Ask its owner for more.")
    response = await route.handler(Ask(request, caller, services, names))
    if not response.prepared:
        # As jupyter_server's replies: nothing of them is to run, or to be framed by others' pages.
        response.headers.setdefault("Content-Security-Policy", _REPLY_POLICY.format(caller.prefix))
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def _find_route(request: web.Request, caller: Caller) -> tuple[Route, dict[str, str]]:
    # The request's path has no escapes any more; prefixes are kept as they stand in addresses.
    prefix = unquote(caller.prefix)
    # An escaped slash would part names that it stands in; of real ones, one more at the end is no other address.
    if not request.path.startswith(prefix) or "%2f" in request.rel_url.raw_path.lower():
        raise problems.no_route()
    path = request.path.removeprefix(prefix).removesuffix("/")
    method = "GET" if request.method == "HEAD" else request.method
    found = [(route, match) for route in ROUTES if (match := route.pattern.fullmatch(path))]
    for route, match in found:
        if route.method == method:
            return route, _names(match)
    if found:
        raise InvalidInput("method-not-allowed", f"{request.method[:16]} is not possible at this address.")
    raise problems.no_route()


def _names(match: re.Match[str]) -> dict[str, str]:
    """Return what stands at a pattern's places. As in Jupyter, any case finds a kernelspec; kept names are lower."""
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    return found | {"spec": found["spec"].lower()} if "spec" in found else found


def _must_match_origin(request: web.Request) -> bool:
    return request.method not in _READING or "Sec-WebSocket-Key" in request.headers


def _preflight(services: Services) -> web.Response:
    """Answer a browser's question whether another site's page may ask something; see `_allow_origin`."""
    cors = services.settings.cors
    headers = {
        "Access-Control-Allow-Methods": ", ".join(cors.methods),
        "Access-Control-Allow-Headers": ", ".join(cors.headers),
        "Access-Control-Max-Age": str(cors.max_age),
    }
    # 200, as Jupyter's servers answer it; browsers take any that is fine.
    return web.Response(status=200, headers=headers)


def _allow_origin(request: web.Request, response: web.StreamResponse, services: Services) -> None:
    """Let pages of configured origins read the reply. Cookies never let anybody in from there: they need a key."""
    origin, cors = request.headers.get("Origin"), services.settings.cors
    if origin is not None and cors.allows(origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = ", ".join(cors.exposed)
        if cors.credentials:
            response.headers["Access-Control-Allow-Credentials"] = "true"
    if cors.origins:
        response.headers["Vary"] = "Origin"
