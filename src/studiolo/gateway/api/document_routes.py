"""Document sessions, Jupyter's `/api/sessions`. Source: jupyter_server 2.21, services/sessions/handlers.py."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from studiolo.contract.errors import InvalidInput, NotFound
from studiolo.gateway.api import bodies
from studiolo.gateway.api.asking import Ask, created, nothing
from studiolo.gateway.api.problems import no_listing
from studiolo.gateway.base import Wish
from studiolo.gateway.documents import Document, new_id
from studiolo.gateway.hosted import Hosted


async def list_documents(ask: Ask) -> web.Response:
    """`GET /api/sessions`."""
    if not ask.services.settings.lists:
        raise no_listing()
    joined = [(document, _find_kernel(ask, document)) for document in ask.services.documents.list(ask.scope)]
    return web.json_response([document.model(kernel.model()) for document, kernel in joined if kernel is not None])


async def create_document(ask: Ask) -> web.Response:
    """`POST /api/sessions`: the one of that path if it is there and its kernel lives, else a new one. Always 201."""
    body = await _read(ask)
    for member in ("path", "type"):
        if body.get(member) is None:
            raise InvalidInput("request-invalid", f"Missing field in JSON data: {member}")
    path = bodies.text(body, "path", 1000) or ""
    fresh = Document(new_id(), path, bodies.text(body, "name", 1000) or "", bodies.text(body, "type") or "", "")
    async with ask.services.document_locks.hold((ask.scope, path)):
        known = ask.services.documents.find_path(ask.scope, path)
        kernel = None if known is None else _find_kernel(ask, known)
        if known is None or kernel is None or not kernel.is_alive:
            kernel = await _kernel_for(ask, path, bodies.mapping(body, "kernel"))
            known = replace(known or fresh, kernel_id=kernel.id)
            ask.services.documents.put(ask.scope, known)
    ask.registry.changed.set()
    return created(known.model(kernel.model()), f"{ask.caller.prefix}api/sessions/{known.id}")


async def read_document(ask: Ask) -> web.Response:
    """`GET /api/sessions/{id}`."""
    document, kernel = _document(ask)
    return web.json_response(document.model(kernel.model()))


async def change_document(ask: Ask) -> web.Response:
    """`PATCH /api/sessions/{id}`: another path, name or type; another kernel, by its id or by a kernelspec's name."""
    body = await _read(ask)
    document, before = _document(ask)
    wanted = {name: bodies.text(body, name, 1000) for name in ("path", "name", "type")}
    changed = replace(document, **{name: value for name, value in wanted.items() if value is not None})
    kernel = before
    asked = bodies.mapping(body, "kernel")
    if asked.get("id") is not None:
        kernel = ask.registry.find(ask.scope, str(asked["id"]))
    elif asked.get("name") is not None:
        kernel = await ask.services.start(ask.caller, _wish(document.path, {"name": asked["name"]}))
    ask.services.documents.put(ask.scope, replace(changed, kernel_id=kernel.id))
    if kernel is not before:
        await ask.registry.remove(before)
    ask.registry.changed.set()
    return web.json_response(replace(changed, kernel_id=kernel.id).model(kernel.model()))


async def end_document(ask: Ask) -> web.Response:
    """`DELETE /api/sessions/{id}`: ends its kernel too."""
    document = ask.services.documents.get(ask.scope, ask.names["document"])
    kernel = _find_kernel(ask, document)
    ask.services.documents.remove(ask.scope, document.id)
    if kernel is not None:
        await ask.registry.remove(kernel)
    return nothing()


async def _read(ask: Ask) -> dict[str, Any]:
    """Return the body in today's shape; clients of 2015 put path and name into `notebook`."""
    body = await bodies.read_object(ask.request)
    notebook = bodies.mapping(body, "notebook")
    if "path" not in body and (path := notebook.get("path") or notebook.get("name")):
        body = {**body, "path": path, "type": "notebook"}
    return body


def _document(ask: Ask) -> tuple[Document, Hosted]:
    document = ask.services.documents.get(ask.scope, ask.names["document"])
    return document, ask.registry.find(ask.scope, document.kernel_id)


def _find_kernel(ask: Ask, document: Document) -> Hosted | None:
    try:
        return ask.registry.find(ask.scope, document.kernel_id)
    except NotFound:
        return None


async def _kernel_for(ask: Ask, path: str, asked: Mapping[str, Any]) -> Hosted:
    """Return the kernel that the client names if it is there, else a new one, under that id if it is free."""
    wish = _wish(path, asked)
    if wish.kernel_id is not None and ask.registry.is_known(wish.kernel_id):
        try:
            return ask.registry.find(ask.scope, wish.kernel_id)
        except NotFound:
            wish = replace(wish, kernel_id=None)
    return await ask.services.start(ask.caller, wish)


def _wish(path: str, asked: Mapping[str, Any]) -> Wish:
    # An id of a shape that kernels never have names none that is there; clients of old send such.
    named = asked.get("id") if bodies.is_kernel_id(asked.get("id")) else None
    return replace(bodies.kernel_wish({**asked, "path": None, "kernel_id": named}), path=path)
