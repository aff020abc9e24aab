"""Previews at the file host: `GET /files/{workspace}/preview/{path}`."""

from aiohttp import web

from studiolo.files.host.asking import Ask
from studiolo.files.names import to_wire

# An origin without rights, whoever opens the address; links to elsewhere open as pages of their own.
_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Content-Type": "text/html; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


async def show(ask: Ask) -> web.StreamResponse:
    """Return the preview of a file. Raises the errors of Root."""
    async with ask.root() as root, root.awaited_file(ask.path) as found:
        made = await ask.services.previews.preview(found.handle, to_wire(found.parts[-1]))
    return web.FileResponse(made, headers=_HEADERS)
