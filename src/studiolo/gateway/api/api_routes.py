"""What a scope is and offers: version, status, identity, kernelspecs. Source: jupyter_server 2.21, services/api."""

import asyncio
import json
import logging
import mimetypes
from typing import Any

from aiohttp import web

from studiolo import __version__
from studiolo.contract.errors import InvalidInput, NotFound
from studiolo.gateway.api.asking import Ask, nothing
from studiolo.gateway.api.problems import no_route
from studiolo.gateway.base import Right
from studiolo.gateway.hosted import isoformat
from studiolo.runtime.launch import read_plain

# The jupyter_server whose API this is; clients look at it to learn what there is.
API_VERSION = "2.21.0"
# What a right means in Jupyter's words for permissions.
_ACTIONS = {"read": Right.SEE, "write": Right.START, "execute": Right.EXECUTE}
_RESOURCES = frozenset({"api", "kernels", "kernelspecs", "sessions"})
_MOST_REPORT = 2_000

_log = logging.getLogger(__name__)


async def version(ask: Ask) -> web.Response:
    """`GET /api`."""
    return web.json_response({"version": API_VERSION, "gateway_version": __version__, "studiolo": __version__})


async def status(ask: Ask) -> web.Response:
    """`GET /api/status`."""
    kernels = ask.registry.list(ask.scope)
    active = max([ask.services.started_at, *(hosted.last_active_at for hosted in kernels)])
    return web.json_response(
        {
            "started": isoformat(ask.services.started_at),
            "last_activity": isoformat(active),
            "kernels": len(kernels),
            "connections": sum(hosted.connections for hosted in kernels),
        }
    )


async def me(ask: Ask) -> web.Response:
    """`GET /api/me`, with `?permissions={"kernels": ["execute"]}` too."""
    name = ask.caller.person_name
    identity = {"username": name, "name": name, "display_name": name, "initials": None, "avatar_url": None}
    wanted = _wanted_permissions(ask.request.query.get("permissions") or "{}")
    granted: dict[str, Any] = {
        resource: [action for action in actions if _may(ask, resource, action)] for resource, actions in wanted.items()
    }
    # Who they are is known from their login; nothing of it can be changed here.
    return web.json_response(
        {"identity": {**identity, "color": None}, "permissions": granted | {"updatable_fields": []}}
    )


async def list_specs(ask: Ask) -> web.Response:
    """`GET /api/kernelspecs`."""
    return web.json_response(await ask.services.authority.specs(ask.caller))


async def read_spec(ask: Ask) -> web.Response:
    """`GET /api/kernelspecs/{name}`."""
    name = ask.names["spec"]
    specs = (await ask.services.authority.specs(ask.caller))["kernelspecs"]
    if name not in specs:
        hint = f"Kernels here: {', '.join(sorted(specs)[:50]) or 'none'}."
        raise NotFound("kernelspec-not-found", f"Kernel spec {name[:64]} not found.", hint=hint)
    return web.json_response(specs[name])


async def read_spec_file(ask: Ask) -> web.StreamResponse:
    """`GET /kernelspecs/{name}/{file}`: a logo, or another file beside `kernel.json`."""
    file = await ask.services.authority.find_resource(ask.caller, ask.names["spec"], ask.names["file"])
    if file is None:
        raise no_route()
    # Somebody else's file on our origin: shown as what its name says, and never run.
    headers = {
        "Content-Type": mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        "Cache-Control": "max-age=3600",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    }
    try:
        # Whoever owns the folder can put a link there at any moment.
        return web.Response(body=await asyncio.to_thread(read_plain, file), headers=headers)
    except OSError:
        raise no_route() from None


async def note_violation(ask: Ask) -> web.Response:
    """`POST /api/security/csp-report`: a browser tells what the policy of a reply kept from running; it is logged."""
    report = (await ask.request.content.read(_MOST_REPORT)).decode(errors="replace")
    _log.warning("Content security violation, told by %s: %r", ask.caller.person_name, report)
    return nothing()


def _wanted_permissions(given: str) -> dict[str, list[str]]:
    try:
        found = json.loads(given)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(actions, list) and all(isinstance(action, str) for action in actions) for actions in found.values()
    ):
        raise InvalidInput("request-invalid", 'permissions should be a JSON dict of {"resource": ["action",]}.')
    return found


def _may(ask: Ask, resource: str, action: str) -> bool:
    return resource in _RESOURCES and _ACTIONS.get(action) in ask.caller.rights
