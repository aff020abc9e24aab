"""What the control plane tells the host: `/_host/*`, with the secret that both share; docs/decisions/005."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from studiolo.contract.errors import InvalidInput
from studiolo.gateway.api.asking import Services, nothing
from studiolo.gateway.api.bodies import read_object, text
from studiolo.gateway.api.problems import no_kernel, no_route
from studiolo.gateway.base import Caller, Right
from studiolo.gateway.hosted import Hosted
from studiolo.kit.shared_secret import is_shared

_SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105


async def answer(request: web.Request, services: Services) -> web.Response:
    """Answer a request of the control plane. Without the secret there is nothing at these addresses."""
    secret = services.settings.secret
    given = request.headers.get(_SECRET_HEADER, "")
    if not is_shared(given, secret):
        raise no_route()
    words = request.path.removeprefix("/_host/").split("/")
    match request.method, words:
        case "POST", ["close"]:
            return await _close(request, services)
        case "POST", ["stop"]:
            return await _stop(request, services)
        case "GET", ["kernels"]:
            return _list(request, services)
        case "POST", ["kernels", kernel_id, action]:
            return await _act(services, kernel_id, action)
    raise no_route()


async def _close(request: web.Request, services: Services) -> web.Response:
    """{logins, scopes?}: close the websockets of these logins, by default to all kernels."""
    members = await read_object(request)
    logins, scopes = _texts(members, "logins"), _texts(members, "scopes") if "scopes" in members else None
    services.registry.cut(logins, scopes)
    return nothing()


def _texts(members: Mapping[str, Any], name: str) -> set[str]:
    found = members.get(name)
    if not isinstance(found, list):
        raise InvalidInput("request-invalid", f"{name}: not a list.")
    return set(map(str, found))


async def _stop(request: web.Request, services: Services) -> web.Response:
    """{scope}: end all its kernels."""
    scope = text(await read_object(request), "scope")
    if not scope:
        raise InvalidInput("request-invalid", "scope is needed.")
    await services.registry.remove_scope(scope)
    return nothing()


def _list(request: web.Request, services: Services) -> web.Response:
    """Return all kernels, or those of `?scope=`, as they are reported."""
    found = services.registry.list(request.query.get("scope"))
    return web.json_response({"kernels": [_report(services, hosted) for hosted in found]})


async def _act(services: Services, kernel_id: str, action: str) -> web.Response:
    hosted = next((hosted for hosted in services.registry.list() if hosted.id == kernel_id), None)
    if hosted is None:
        raise no_kernel(kernel_id)
    match action:
        case "stop":
            await services.registry.remove(hosted)
        case "interrupt":
            await services.registry.interrupt(hosted)
        case "restart":
            await services.registry.restart(_owner(hosted), hosted)
        case _:
            raise no_route()
    return nothing()


def _owner(hosted: Hosted) -> Caller:
    """Return whom a restarted kernel belongs to: still the person who started it."""
    return Caller(hosted.scope, frozenset(Right), hosted.record.person_id, hosted.record.person_name, login="")


def _report(services: Services, hosted: Hosted) -> dict[str, object]:
    return hosted.report(services.documents.path_of(hosted.scope, hosted.id))
