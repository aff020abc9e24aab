"""Static files, read once at start and served from memory, so that a page's first paint waits for nothing else."""

import functools
import gzip
import hashlib
import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"
# One request instead of five: a page cannot paint before it has all of them. The order is the cascade's.
_SHEETS = ("tokens", "base", "shell", "parts", "forms", "files", "history", "requests")
SHEET = "pages.css"
_PACKED = (".css", ".js", ".svg")


class StaticFiles:
    """An ASGI application with all files of `static` and the joined sheets. Browsers keep them for a year."""

    def __init__(self) -> None:
        self._files = {name: _answers(name, content) for name, content in _contents().items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request below the address where this is mounted."""
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            await Response(status_code=405, headers={"Allow": "GET, HEAD"})(scope, receive, send)
            return
        name = request.url.path.removeprefix(static_path()).removeprefix("/")
        if (answers := self._files.get(name)) is None:
            await Response("Not found", 404, media_type="text/plain")(scope, receive, send)
            return
        plain, packed = answers
        takes_packed = "gzip" in request.headers.get("accept-encoding", "")
        await (packed if packed and takes_packed else plain)(scope, receive, send)


@functools.cache
def static_path() -> str:
    """Return the address of the static files; a digest of them is in it, so that browsers may keep them."""
    digest = hashlib.sha256()
    for name, content in sorted(_contents().items()):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return f"/static/{digest.hexdigest()[:12]}"


@functools.cache
def _contents() -> dict[str, bytes]:
    files = {file.relative_to(FOLDER).as_posix(): file.read_bytes() for file in FOLDER.rglob("*") if file.is_file()}
    sheets = [files.pop(f"{sheet}.css") for sheet in _SHEETS]
    return files | {SHEET: b"\n".join(sheets)}


def _answers(name: str, content: bytes) -> tuple[Response, Response | None]:
    """Return the answer with `content` as it is and, where that is smaller, the packed one."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    plain = Response(content, headers=headers, media_type=kind)
    if not name.endswith(_PACKED):
        return plain, None
    return plain, Response(gzip.compress(content), headers=headers | {"Content-Encoding": "gzip"}, media_type=kind)
