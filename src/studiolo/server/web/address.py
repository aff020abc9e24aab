"""The permanent address of a workspace's notebook: what people bookmark and send, whatever session serves it."""

from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import InvalidInput
from studiolo.contract.models import Session, Workspace
from studiolo.contract.operations import Role
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web.launch import find_own, open_own
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router

router = pages_router()
_Reads = Annotated[Principal, Depends(Allow("workspace.read"))]
_LONGEST_PATH = 1500


def lab_address(workspace: Workspace, path: str) -> str:
    """Return the permanent address of `path` in a workspace; empty: of its JupyterLab."""
    return f"/w/{workspace.owner.name}/{workspace.name}/lab" + (f"/tree/{quote(path)}" if path else "")


@router.get("/w/{owner}/{name}/lab")
@router.get("/w/{owner}/{name}/lab/tree/{path:path}")
async def go_there(
    request: Request, owner: str, name: str, who: _Reads, services: ServicesOf, path: str = ""
) -> Response:
    """Go to the file in the person's session here; where none runs, a page that starts it; viewers see it.

    Looking at an address starts nothing: the page's form does, by itself unless another site led here.
    """
    _check(path)
    own = await services.workspaces.get(who, f"{owner}/{name}")
    if own.role is Role.VIEWER:
        return see(f"/w/{own.id}/files" + (f"/{quote(path)}" if path else ""))
    session = await find_own(services, who, own.id)
    if session is not None and session.desired == "running":
        return see(_inside(session, path))
    at_once = request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    return await render(
        request, "address.html", who, workspace=own, path=path, address=lab_address(own, path), at_once=at_once
    )


@router.post("/w/{owner}/{name}/lab")
async def start_there(
    owner: str,
    name: str,
    who: Annotated[Principal, Depends(Allow("session.launch"))],
    services: ServicesOf,
    path: Annotated[str, Form(max_length=_LONGEST_PATH)] = "",
) -> Response:
    """Resume or start the person's session here and land on the file."""
    _check(path)
    own = await services.workspaces.get(who, f"{owner}/{name}")
    return see(_inside(await open_own(services, who, own.id), path))


def _inside(session: Session, path: str) -> str:
    return f"/go/{session.id}" + (f"?{urlencode({'next': f'lab/tree/{quote(path)}'})}" if path else "")


def _check(path: str) -> None:
    if len(path) > _LONGEST_PATH or not path.isprintable() or ".." in path.split("/"):
        raise InvalidInput(
            "path-invalid", "This is no path of a file in a workspace.", hint="Open the workspace and choose the file."
        )
