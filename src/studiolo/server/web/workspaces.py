"""Workspaces: the list, and one workspace with its sessions, people, activity and settings."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.contract.models import (
    MemberSet,
    Session,
    SessionLaunch,
    SessionState,
    Workspace,
    WorkspaceCreate,
    WorkspaceUpdate,
)
from studiolo.contract.operations import Role
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web import forms
from studiolo.server.web.home import ALIVE
from studiolo.server.web.presentation import last_used
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pages_router, status_of

router = pages_router()
_Reads = Annotated[Principal, Depends(Allow("workspace.read"))]
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
) -> Response:
    """Make a workspace and go there."""
    try:
        made = await services.workspaces.create(who, forms.read(WorkspaceCreate, name=name.strip()))
    except StudioloError as problem:
        return await _show_list(request, who, services, problem=problem, form={"name": name})
    return see(f"/w/{made.id}")


@router.get("/w/{workspace}")
async def sessions(
    request: Request, workspace: str, who: _Reads, services: ServicesOf, cursor: Cursor = None
) -> Response:
    """A workspace: its sessions."""
    return await _show_sessions(request, who, services, workspace, cursor=cursor)


@router.post("/w/{workspace}/open")
async def open_(
    workspace: str, who: Annotated[Principal, Depends(Allow("session.launch"))], services: ServicesOf
) -> Response:
    """One click: go to the person's session here, resume their last, or start a first."""
    own = await services.workspaces.get(who, workspace)
    found = await services.sessions.list_(who, workspace=own.id, limit=200)
    session = choose_session([session for session in found.items if session.person.id == who.person_id])
    if session is None:
        session = await services.sessions.launch(who, SessionLaunch(workspace=own.id))
    elif session.desired != "running":
        session = await services.sessions.start(who, session.id)
    return see(f"/go/{session.id}")


@router.post("/w/{workspace}/sessions")
async def launch(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("session.launch"))],
    services: ServicesOf,
    name: _Text = "",
    password: _Text = "",
) -> Response:
    """Start another session here."""
    try:
        form = forms.read(SessionLaunch, workspace=workspace, name=name.strip() or None, password=password or None)
        session = await services.sessions.launch(who, form)
    except StudioloError as problem:
        return await _show_sessions(request, who, services, workspace, problem=problem, form={"name": name})
    return see(f"/go/{session.id}")


@router.get("/w/{workspace}/people")
async def people(request: Request, workspace: str, who: _Reads, services: ServicesOf) -> Response:
    """A workspace: who has access."""
    return await _show_people(request, who, services, workspace)


@router.post("/w/{workspace}/people")
async def set_member(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("member.set"))],
    services: ServicesOf,
    person: _Text = "",
    role: _Text = "",
) -> Response:
    """Add somebody or change their role."""
    before = {member.person.id for member in await services.workspaces.list_members(who, workspace)}
    try:
        member = await services.workspaces.set_member(
            who, workspace, forms.read(MemberSet, person=person.strip(), role=role)
        )
    except StudioloError as problem:
        form = {"person": person, "role": role}
        return await _show_people(request, who, services, workspace, problem=problem, form=form)
    return see(f"/w/{workspace}/people", "role" if member.person.id in before else "added")


@router.post("/w/{workspace}/people/remove")
async def remove_member(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("member.remove"))],
    services: ServicesOf,
    person: _Text = "",
) -> Response:
    """Take somebody's access away, or leave."""
    try:
        await services.workspaces.remove_member(who, workspace, person)
    except StudioloError as problem:
        return await _show_people(request, who, services, workspace, problem=problem)
    return see("/", "left") if person == who.person_id else see(f"/w/{workspace}/people", "removed")


@router.get("/w/{workspace}/activity")
async def activity(
    request: Request, workspace: str, who: _Reads, services: ServicesOf, cursor: Cursor = None
) -> Response:
    """A workspace: what happened, newest first."""
    own = await services.workspaces.get(who, workspace)
    events = await services.workspaces.activity(who, own.id, cursor=cursor, limit=PAGE_SIZE)
    pages = _pages(f"/w/{own.id}/activity", events.next_cursor, cursor)
    return await render(request, "workspace_activity.html", who, workspace=own, events=events.items, **pages)


@router.get("/w/{workspace}/settings")
async def settings(request: Request, workspace: str, who: _Reads, services: ServicesOf) -> Response:
    """A workspace: name, description, deletion."""
    return await _show_settings(request, who, await services.workspaces.get(who, workspace))


@router.post("/w/{workspace}/settings")
async def save(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.update"))],
    services: ServicesOf,
    name: _Text = "",
    description: _Text = "",
) -> Response:
    """Rename or describe."""
    try:
        form = forms.read(WorkspaceUpdate, name=name.strip(), description=description)
        saved = await services.workspaces.update(who, workspace, form)
    except StudioloError as problem:
        own = await services.workspaces.get(who, workspace)
        return await _show_settings(
            request, who, own, problem=problem, form={"name": name, "description": description}
        )
    return see(f"/w/{saved.id}/settings", "saved")


@router.post("/w/{workspace}/delete")
async def delete(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.delete"))],
    services: ServicesOf,
    typed: _Text = "",
) -> Response:
    """Delete, when the name was typed."""
    own = await services.workspaces.get(who, workspace)
    try:
        if typed.strip() != own.name:
            raise InvalidInput("request-invalid", f"Nothing was deleted: the name to type is {own.name!r}.")
        await services.workspaces.delete(who, own.id, stop_sessions=True)
    except StudioloError as problem:
        return await _show_settings(request, who, own, problem=problem)
    return see("/", "deleted")


def choose_session(own: list[Session]) -> Session | None:
    """Return the session that Open means: one that runs, else the last used; one that is ending never."""
    usable = [session for session in own if session.state is not SessionState.STOPPING]
    alive = [session for session in usable if session.state in ALIVE and session.desired == "running"]
    return max(alive or usable, key=last_used, default=None)


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
        **_pages("/workspaces", found.next_cursor, cursor, query),
    )


async def _show_sessions(
    request: Request,
    who: Principal,
    services: ServicesOf,
    reference: str,
    *,
    cursor: str | None = None,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    own = await services.workspaces.get(who, reference)
    found = await services.sessions.list_(who, workspace=own.id, cursor=cursor, limit=PAGE_SIZE)
    return await render(
        request,
        "workspace_sessions.html",
        who,
        status=status_of(problem),
        workspace=own,
        sessions=found.items,
        problem=problem,
        form=form or {"name": ""},
        **_pages(f"/w/{own.id}", found.next_cursor, cursor),
    )


async def _show_people(
    request: Request,
    who: Principal,
    services: ServicesOf,
    reference: str,
    *,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    own = await services.workspaces.get(who, reference)
    return await render(
        request,
        "workspace_people.html",
        who,
        status=status_of(problem),
        workspace=own,
        members=await services.workspaces.list_members(who, own.id),
        roles=[role.value for role in Role],
        problem=problem,
        form=form or {"person": "", "role": ""},
    )


async def _show_settings(
    request: Request,
    who: Principal,
    workspace: Workspace,
    *,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    given = form or {"name": workspace.name, "description": workspace.description}
    status = status_of(problem)
    return await render(
        request, "workspace_settings.html", who, status=status, workspace=workspace, problem=problem, form=given
    )


def _pages(
    address: str, next_cursor: str | None, cursor: str | None, query: dict[str, str] | None = None
) -> dict[str, Any]:
    """Addresses for a list's pager, and of this page itself."""
    query = query or {}

    def at(**more: str) -> str:
        return address + (f"?{urlencode(query | more)}" if query or more else "")

    return {
        "next_url": at(cursor=next_cursor) if next_cursor else None,
        "first_url": at() if cursor else None,
        "here": at(cursor=cursor) if cursor else at(),
    }
