"""What a JupyterHub 6.1 answered, served again: for what a real one cannot be made to do at will."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from serving_hub import serving


def server(name: str, *, ready: bool = True, pending: str | None = None, user: str = "ana") -> dict[str, Any]:
    """Return the Hub's model of a server."""
    return {
        "name": name,
        "display_name": name,
        "full_name": f"{user}/{name}",
        "last_activity": "2026-11-21T21:04:29.648353Z",
        "started": "2026-11-21T21:04:18.766825Z" if ready or pending else None,
        "pending": pending,
        "ready": ready,
        "stopped": not (ready or pending),
        "url": f"/user/{user}/{name}/",
        "user_options": {},
        "progress_url": f"/hub/api/users/{user}/servers/{name}/progress",
        "full_url": None,
        "full_progress_url": None,
    }


def user(name: str, *servers: dict[str, Any]) -> dict[str, Any]:
    """Return the Hub's model of a user."""
    default = server("", ready=False, user=name)
    models = {model["name"]: model for model in (default, *servers)}
    return {"kind": "user", "name": name, "admin": False, "groups": [], "servers": models, "pending": None}


def page(*users: dict[str, Any], following: int | None = None) -> dict[str, Any]:
    """Return a page of users."""
    next_ = {"offset": following, "limit": 2, "url": "http://elsewhere.test/"} if following else None
    return {"items": list(users), "_pagination": {"offset": 0, "limit": 2, "total": len(users), "next": next_}}


@dataclass
class RecordedHub:
    """Answers `answers[method path?query]`, (status, body); without one the Hub's own 404. `hangs`: not at all."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    hangs: asyncio.Event | None = None
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        path = request.path_qs.removeprefix("/hub/api/")
        self.asked.append(f"{request.method} {path}")
        self.authorizations.add(request.headers.get("Authorization"))
        if self.hangs is not None:
            await self.hangs.wait()
        status, body = self.answers.get(self.asked[-1], (404, {"status": 404, "message": None}))
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/json")


@contextlib.asynccontextmanager
async def recorded_hub() -> AsyncIterator[RecordedHub]:
    """Serve recorded answers on a port of this machine."""
    hub = RecordedHub()
    async with serving(hub):
        yield hub
