"""Home: where was I, what runs, what needs me, my workspaces."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from studiolo.contract.models import EnvironmentState, Session, SessionState, Workspace
from studiolo.server.disk.rooms import Room
from studiolo.server.disk.watch import Space
from studiolo.server.http.identity import Allow
from studiolo.server.kernels.service import Unread
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.charts import sparks
from studiolo.server.web.presentation import last_used
from studiolo.server.web.render import render
from studiolo.server.web.routing import PAGE_SIZE, ServicesOf, pager, pages_router

router = pages_router()
ALIVE = (SessionState.STARTING, SessionState.RUNNING, SessionState.STOPPING, SessionState.UNKNOWN)
_FIRST_NAME = "first-look"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that waits for the person. `look`: the colour; `url` and `action`: what to do about it."""

    key: str
    look: str
    word: str
    subject: str
    message: str
    url: str
    action: str


@router.get("/")
async def show(
    request: Request,
    who: Annotated[Principal, Depends(Allow("workspace.list"))],
    services: ServicesOf,
    q: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Home; `q` narrows its workspaces."""
    text = q.strip()
    workspaces = await services.workspaces.list_(who, text=text or None, limit=PAGE_SIZE)
    query = {"q": text} if text else {}
    sessions = (await services.sessions.list_(who, limit=100)).items
    running = [session for session in sessions if session.state in ALIVE]
    return await render(
        request,
        "home.html",
        who,
        resume=max(sessions, key=last_used, default=None),
        running=running,
        sparks=sparks(await services.session_usages.memory_of(who, running), running),
        needs=[
            *_of_disk(services.disk.watch.space(), who),
            *_of_rooms(await services.disk.rooms.list_filling(workspaces.items)),
            *await _of_policy(services, who),
            *await _of_requests(services, who),
            *list_needs(sessions, workspaces.items, await services.kernels.list_unread(who)),
        ],
        workspaces=workspaces.items,
        text=text,
        form={"name": "" if text else propose_name(workspaces.items)},
        **pager("/workspaces", workspaces.next_cursor, None, query),
    )


def _of_disk(space: Space, who: Principal) -> list[Need]:
    if not (who.is_admin and space.is_nearly_full):
        return []
    message = f"It is nearly full: {space.words}."
    return [Need("disk", "needs-you", "Disk", "The platform's disk", message, "/admin/disk", "Free space")]


def _of_rooms(filling: list[tuple[Workspace, Room]]) -> list[Need]:
    return [
        Need(f"room {one.id}", "needs-you", "Disk", one.name, f"Its files use {room.words}.", f"/w/{one.id}", "Look")
        for one, room in filling
    ]


async def _of_policy(services: Services, who: Principal) -> list[Need]:
    """Have administrators look at the policy once, before they keep or change it."""
    if not await services.policy_revisions.is_unseen(who):
        return []
    refused = dict.fromkeys(one.name for one in await services.policy_outlooks.refused_of_base(who))
    names = f"refuses {', '.join(refused)} of the base" if refused else "refuses nothing of the base"
    message = f"Nobody has looked at it yet; it {names}."
    return [Need("policy", "needs-you", "Policy", "The package policy", message, "/admin/policy", "Keep or change")]


async def _of_requests(services: Services, who: Principal) -> list[Need]:
    waiting = await services.requests.count_pending(who)
    if not waiting:
        return []
    (newest,) = (await services.requests.list_(who, state="pending", limit=1)).items
    asks = f"{newest.people[0].person.display_name} asks for it in {newest.workspace.name}"
    message = f"{asks}; {waiting - 1} more wait." if waiting > 1 else f"{asks}."
    return [Need("requests", "needs-you", "Request", newest.name, message, "/requests", "Review")]


def list_needs(sessions: list[Session], workspaces: list[Workspace], unread: list[Unread]) -> list[Need]:
    """Return what failed and waits for the person, sessions first, then output that nobody has seen."""
    failed = [
        Need(
            session.id,
            "failed",
            "Failed",
            f"{session.workspace.name}/{session.name}",
            session.reason.message if session.reason else "It ended.",
            f"/sessions/{session.id}",
            "Look",
        )
        for session in sessions
        if session.state is SessionState.FAILED
    ]
    broken = [
        Need(
            workspace.id,
            "needs-you",
            "Needs you",
            workspace.name,
            workspace.environment.message or "Its environment could not be made.",
            f"/w/{workspace.id}",
            "Look",
        )
        for workspace in workspaces
        if workspace.environment.state is EnvironmentState.FAILED
    ]
    seen_by_nobody = [
        Need(
            one.kernel.id,
            "needs-you",
            "Output",
            f"{one.kernel.workspace.name}/{one.kernel.path}",
            "It put something out while nobody was connected.",
            f"/w/{one.kernel.workspace.id}/away",
            "Look",
        )
        for one in unread
    ]
    return failed + broken + seen_by_nobody


def propose_name(workspaces: list[Workspace]) -> str:
    """Return a name for the first workspace; nothing once there is one, since people then have their own way."""
    return "" if workspaces else _FIRST_NAME
