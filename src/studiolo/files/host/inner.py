"""What the control plane asks of the file host: `GET /_host/…`, with the secret that both know."""

import asyncio
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from studiolo.contract.errors import InvalidInput, NotFound
from studiolo.contract.files import FileSort
from studiolo.files.host.asking import Services
from studiolo.files.listing import describe, list_folder
from studiolo.files.root import Root, opened_root

PREFIX = "/_host/"


async def answer(request: web.Request, what: str, services: Services) -> web.Response:
    """Answer one question; `folder` in its query is the workspace's. Raises errors of Root."""
    asked = request.query
    try:
        folder = Path(asked["folder"])
        match what:
            case "list":
                return _json(await asyncio.to_thread(_list, folder, request))
            case "info":
                return _json(await asyncio.to_thread(_info, folder, asked.get("path", "")))
            case "difference":
                told = await services.differences.compare(folder, asked["path"], asked["from"], asked["to"])
                return _json(told)
            case "search":
                async with opened_root(folder) as root:
                    found = await services.searches.search(
                        asked["workspace"],
                        root,
                        asked["q"],
                        within=asked.get("in", ""),
                        limit=int(asked["limit"]),
                        wait=0 if "at-once" in asked else None,
                    )
                return _json(found.model_dump_json().encode())
    except (KeyError, ValueError, ValidationError) as exc:
        raise InvalidInput("request-invalid", "The control plane's question is not understood.") from exc
    raise NotFound("route-not-found", "There is nothing at this address.")


def _list(folder: Path, request: web.Request) -> bytes:
    asked = request.query
    with Root(folder) as root:
        return list_folder(
            root,
            asked.get("path", ""),
            cursor=asked.get("cursor"),
            limit=int(asked.get("limit", "200")),
            text=asked.get("filter", ""),
            sort=FileSort(asked.get("sort", "name")),
        )


def _info(folder: Path, path: str) -> bytes:
    with Root(folder) as root:
        return describe(root, path).model_dump_json().encode()


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")
