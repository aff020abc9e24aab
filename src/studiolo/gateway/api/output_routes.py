"""What a kernel said, whether or not somebody listened: its journal by number, its own log. Ours, beside Jupyter's."""

import base64
from http import HTTPStatus

from aiohttp import web

from studiolo.gateway.api.asking import Ask
from studiolo.gateway.api.bodies import number
from studiolo.gateway.hosted import Hosted
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.journals.records import Entry, Gap
from studiolo.gateway.messages.wire import dump

_MOST_BYTES = 4 << 20
_MOST_SECONDS = 30
_LOG_LINES = 500
_PARTS = (b"header", b"parent_header", b"metadata", b"content")


async def journal(ask: Ask) -> web.Response:
    """`GET …/journal?after=N&wait=S&cell=ID`: contract `KernelOutput`; waits up to S seconds for something newer."""
    hosted = _kept(ask)
    after = number(ask.request.query, "after") or 0
    wait = min(number(ask.request.query, "wait") or 0, _MOST_SECONDS)
    cell = ask.request.query.get("cell")
    if wait:
        await hosted.await_output(after, wait)
    kept = hosted.journal
    items = kept.read(after, most_bytes=_MOST_BYTES) if after < kept.last else []
    upto = items[-1].number if items else min(after, kept.last)
    entries = [_as_json(kept, item) for item in items if cell is None or _belongs(kept, item, cell)]
    head = dump({"last": kept.last, "next": upto, "more": upto < kept.last})
    # The parts are JSON already: they are put together as they are.
    body = head[:-1] + b',"entries":[' + b",".join(entries) + b"]}"
    return web.Response(status=HTTPStatus.OK, body=body, content_type="application/json")


async def log(ask: Ask) -> web.Response:
    """`GET …/log?lines=N`: what the kernel's process itself wrote last, contract `KernelLog`."""
    hosted = _kept(ask)
    lines = min(number(ask.request.query, "lines") or _LOG_LINES, _LOG_LINES)
    return web.json_response({"lines": [] if hosted.process is None else hosted.process.tail(lines)})


def _kept(ask: Ask) -> Hosted:
    return ask.registry.find_kept(ask.scope, ask.names["kernel"])


def _cell(kept: Journal, item: Entry) -> str | None:
    request = kept.request(item.parent)
    return None if request is None else request.cell


def _belongs(kept: Journal, item: Entry | Gap, cell: str) -> bool:
    """Tell whether a message answers a cell's request; a gap may have been anybody's."""
    return isinstance(item, Gap) or _cell(kept, item) == cell


def _as_json(kept: Journal, item: Entry | Gap) -> bytes:
    if isinstance(item, Gap):
        size = {"messages": item.messages, "bytes": item.data_bytes}
        return dump({"gap": {"from": item.first, "to": item.last, **size}})
    members = dump({"number": item.number, "at": item.at, "parent": item.parent, "cell": _cell(kept, item)})
    parts = b",".join(b'"%s":%s' % (name, bytes(part)) for name, part in zip(_PARTS, item.parts, strict=False))
    buffers = dump([base64.b64encode(buffer).decode() for buffer in item.parts[len(_PARTS) :]])
    channel = dump(item.channel)
    return members[:-1] + b',"message":{"channel":%s,%s,"buffers":%s}}' % (channel, parts, buffers)
