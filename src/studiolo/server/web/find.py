"""Find workspaces, sessions and actions: a page of its own, and what the palette shows."""

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import Session, Workspace
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.files import files_url
from studiolo.server.web.home import ALIVE
from studiolo.server.web.presentation import state_look
from studiolo.server.web.render import render
from studiolo.server.web.routing import ServicesOf, pages_router

router = pages_router()
_MOST = 8
_SHORTEST = 2
_IN_WORKSPACE = re.compile(r"/w/(w-[0-9a-z]{16})(?:/|$)")


@dataclass(frozen=True, slots=True)
class Found:
    """One result. `is_name`: the label is somebody's own name for it, shown in Mono."""

    label: str
    what: str
    url: str
    is_name: bool = False


_ACTIONS = (
    Found("Go home", "action", "/"),
    Found("New workspace", "action", "/workspaces#new-name"),
    Found("All workspaces", "action", "/workspaces"),
    Found("See engines and what is free there", "action", "/engines"),
    Found("Bring back a deleted workspace", "action", "/trash"),
    Found("Sign in a program by its code", "action", "/sign-in/device"),
    Found("Make an API key", "action", "/account#keys"),
    Found("Change your password", "action", "/account#password"),
    Found("See where you are signed in", "action", "/account#logins"),
)
_ADMIN_ACTIONS = (
    Found("See whether all is well", "action", "/admin"),
    Found("See everybody's sessions", "action", "/admin/sessions"),
    Found("Invite somebody", "action", "/admin/people#invite"),
    Found("See who has access", "action", "/admin/people"),
    Found("Tell everybody something", "action", "/admin/banner"),
    Found("Read the audit record", "action", "/admin/audit"),
)


@router.get("/find")
async def show(
    request: Request,
    who: Annotated[Principal, Depends(Allow("workspace.list"))],
    services: ServicesOf,
    q: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Results for `q`: running sessions first, then workspaces, files of the one that one is in, then actions."""
    text = q.strip().lower()
    sessions = (await services.sessions.list_(who, states=ALIVE, limit=50)).items
    workspaces = (await services.workspaces.list_(who, text=text or None, limit=_MOST)).items
    files = await _files(services, who, request.headers.get("hx-current-url", ""), text)
    items = find(text, sessions, workspaces, files, is_admin=who.is_admin)
    return await render(request, "find.html", who, text=q, items=items)


async def _files(services: Services, who: Principal, seen_from: str, text: str) -> list[Found]:
    """What the workspace has whose page asks; without a file host, nothing."""
    place = _IN_WORKSPACE.match(urlsplit(seen_from).path)
    if place is None or len(text) < _SHORTEST:
        return []
    try:
        found = await services.file_searches.search(who, place[1], text, limit=_MOST, at_once=True)
    except StudioloError:
        return []
    return [
        Found(hit.path, f"cell {hit.cell}" if hit.cell else "file", files_url(place[1], hit.path), is_name=True)
        for hit in found.items
    ]


def find(
    text: str, sessions: list[Session], workspaces: list[Workspace], files: list[Found], *, is_admin: bool
) -> list[Found]:
    """Return what fits `text` (lower case; empty fits all). Workspaces come filtered by their service."""
    running = [
        Found(
            f"{session.workspace.name}/{session.name}",
            f"session, {state_look(session).word.lower()}",
            f"/go/{session.id}",
            is_name=True,
        )
        for session in sessions
    ]
    actions = _ACTIONS + (_ADMIN_ACTIONS if is_admin else ())
    return [
        *[item for item in running if text in item.label.lower()][:_MOST],
        *[Found(workspace.name, "workspace", f"/w/{workspace.id}", is_name=True) for workspace in workspaces],
        *files,
        *[item for item in actions if text in item.label.lower()],
    ]
