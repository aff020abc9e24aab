"""Turn a template and its context into a reply."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from studiolo.server.principal import Principal


async def render(request: Request, name: str, who: Principal | None, *, status: int = 200, **context: Any) -> Response:
    """Render `name` with `context` and what every page needs (me, platform, csrf_token, request_path)."""
    raise NotImplementedError(name)
