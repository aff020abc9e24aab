"""Kernels in Jupyter's own API. Source: jupyter_server 2.21, services/kernels/handlers.py."""

from aiohttp import web

from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.gateway.api.asking import Ask, created, nothing
from studiolo.gateway.api.bodies import kernel_wish, number, read_object
from studiolo.gateway.api.problems import no_listing
from studiolo.gateway.base import Elsewhere
from studiolo.gateway.hosted import Hosted


async def list_kernels(ask: Ask) -> web.Response:
    """`GET /api/kernels`: those of this host, then those of the scope that run elsewhere."""
    if not ask.services.settings.lists:
        raise no_listing()
    elsewhere = await ask.services.authority.list_elsewhere(ask.caller)
    return web.json_response([*(hosted.model() for hosted in ask.registry.list(ask.scope)), *elsewhere])


async def start_kernel(ask: Ask) -> web.Response:
    """`POST /api/kernels`: {name, path, env, kernel_id}, all optional."""
    started = await ask.services.start_anywhere(ask.caller, kernel_wish(await read_object(ask.request)))
    model = started.model if isinstance(started, Elsewhere) else started.model()
    return created(model, f"{ask.caller.prefix}api/kernels/{model['id']}")


async def read_kernel(ask: Ask) -> web.Response:
    """`GET /api/kernels/{id}`."""
    return web.json_response(_kernel(ask).model())


async def end_kernel(ask: Ask) -> web.Response:
    """`DELETE /api/kernels/{id}`: 204, and again when it was ended before."""
    await ask.registry.remove(ask.registry.find_kept(ask.scope, ask.names["kernel"]))
    return nothing()


async def interrupt_kernel(ask: Ask) -> web.Response:
    """`POST /api/kernels/{id}/interrupt`."""
    await ask.registry.interrupt(_kernel(ask))
    return nothing()


async def restart_kernel(ask: Ask) -> web.Response:
    """`POST /api/kernels/{id}/restart`."""
    hosted = _kernel(ask)
    await ask.registry.restart(ask.caller, hosted)
    return web.json_response(hosted.model())


async def channels(ask: Ask) -> web.StreamResponse:
    """`GET /api/kernels/{id}/channels`: the websocket, in the subprotocol that the client asks for."""
    hosted = _kernel(ask)
    async with hosted.lock:
        # Whoever connects while it starts waits for it.
        kernel = hosted.kernel
    if kernel is None:
        raise Conflict("kernel-ended", "The kernel has ended.", hint="Restart it.")
    if ask.request.headers.get("Upgrade", "").lower() != "websocket":
        raise InvalidInput("request-invalid", "This address is a websocket's.", hint="Ask for an upgrade.")
    session = ask.request.query.get("session_id", "")[:200]
    after = number(ask.request.query, "after")
    return await kernel.serve(ask.request, caller=ask.caller, session=session, after=after)


def _kernel(ask: Ask) -> Hosted:
    return ask.registry.find(ask.scope, ask.names["kernel"])
