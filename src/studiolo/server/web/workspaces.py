"""The list of workspaces, and making one."""

from typing import Annotated

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import WorkspaceCreate
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web import forms
from studiolo.server.web.clones import read_clone
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=4000)]


@router.get("/workspaces")
async def list_(
    request: Request,
    who: Annotated[Principal, Depends(Allow("workspace.list"))],
    services: ServicesOf,
    q: Annotated[str, Query(max_length=200)] = "",
    everything: bool = False,
    cursor: Cursor = None,
) -> Response:
    """All workspaces of the person, or (administrators) everybody's."""
    return await _show_list(request, who, services, text=q.strip(), everything=everything, cursor=cursor)


@router.post("/workspaces")
async def make(
    request: Request,
    who: Annotated[Principal, Depends(Allow("workspace.create"))],
    services: ServicesOf,
    name: _Text = "",
    url: _Text = "",
    branch: _Text = "",
    username: _Text = "",
    token: _Text = "",
) -> Response:
    """Make a workspace, with a repository cloned into it if one is named, and go there."""
    try:
        clone = read_clone(url, branch, username, token) if url.strip() else None
        made = await services.clones.create(who, forms.read(WorkspaceCreate, name=name.strip(), clone=clone))
    except StudioloError as problem:
        given = {"name": name, "url": url, "branch": branch, "username": username}
        return await _show_list(request, who, services, problem=problem, form=given)
    return see(f"/w/{made.id}/clone" if clone else f"/w/{made.id}")


async def _show_list(
    request: Request,
    who: Principal,
    services: ServicesOf,
    *,
    text: str = "",
    everything: bool = False,
    cursor: str | None = None,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    found = await services.workspaces.list_(
        who, text=text or None, cursor=cursor, limit=PAGE_SIZE, everything=everything
    )
    query = {name: value for name, value in (("q", text), ("everything", "yes" if everything else "")) if value}
    return await render(
        request,
        "workspaces.html",
        who,
        status=status_of(problem),
        workspaces=found.items,
        text=text,
        everything=everything,
        problem=problem,
        form=form or {"name": ""},
        **pager("/workspaces", found.next_cursor, cursor, query),
    )
