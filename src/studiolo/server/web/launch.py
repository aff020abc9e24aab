"""Launch a session: with one click, or by the form "Open with…" with another size."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import Session, SessionLaunch, SessionState, Workspace
from studiolo.contract.resources import EngineInfo
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.home import ALIVE
from studiolo.server.web.launch_choices import Choice, choice_of, foresee, last_choice, list_tiles
from studiolo.server.web.presentation import last_used
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Launches = Annotated[Principal, Depends(Allow("session.launch"))]
_Text = Annotated[str, Form(max_length=4000)]
_MOST_LISTED = 200


@router.post("/w/{workspace}/open")
async def open_(workspace: str, who: _Launches, services: ServicesOf) -> Response:
    """One click: go to the person's session here, resume their last, or start a first."""
    own = await services.workspaces.get(who, workspace)
    session = await open_own(services, who, own.id)
    return see(f"/go/{session.id}")


@router.get("/w/{workspace}/launch")
async def form(request: Request, workspace: str, who: _Launches, services: ServicesOf) -> Response:
    """The form, filled as its address says, else as last time."""
    return await _show(request, who, services, workspace, choice_of(request.query_params))


@router.post("/w/{workspace}/launch")
async def launch(
    request: Request,
    workspace: str,
    who: _Launches,
    services: ServicesOf,
    profile: _Text = "",
    cpu: _Text = "",
    memory: _Text = "",
    gpu: _Text = "",
    name: _Text = "",
    password: _Text = "",
    engine: _Text = "",
    image: _Text = "",
    time_limit: _Text = "",
) -> Response:
    """Start a session of this size and go there."""
    where = {"engine": engine, "image": image, "time_limit": time_limit}
    choice = Choice(profile=profile, cpu=cpu, memory=memory, gpu=gpu, name=name, **where)
    try:
        session = await services.sessions.launch(who, choice.read(workspace, password or None))
    except StudioloError as problem:
        return await _show(request, who, services, workspace, choice, problem=problem)
    return see(f"/go/{session.id}")


async def find_own(services: Services, who: Principal, workspace_id: str) -> Session | None:
    """Return the person's session in a workspace that Open means."""
    return choose_session(await _list_own(services, who, workspace_id))


async def open_own(services: Services, who: Principal, workspace_id: str) -> Session:
    """Return the person's session here, resumed if it had ended, launched if there was none."""
    session = await find_own(services, who, workspace_id)
    if session is None:
        return await services.sessions.launch(who, SessionLaunch(workspace=workspace_id))
    return session if session.desired == "running" else await services.sessions.start(who, session.id)


def choose_session(own: list[Session]) -> Session | None:
    """Return the session that Open means: one that runs, else the last used; one that is ending never."""
    usable = [session for session in own if session.state is not SessionState.STOPPING]
    alive = [session for session in usable if session.state in ALIVE and session.desired == "running"]
    return max(alive or usable, key=last_used, default=None)


async def _list_own(services: Services, who: Principal, workspace_id: str) -> list[Session]:
    found = await services.sessions.list_(who, workspace=workspace_id, limit=_MOST_LISTED)
    return [session for session in found.items if session.person.id == who.person_id]


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    reference: str,
    given: Choice | None,
    *,
    problem: StudioloError | None = None,
) -> Response:
    own = await services.workspaces.get(who, reference)
    settings, most = services.settings.resources.of_person(who.name), services.settings.sessions.max_running_per_person
    last = max(await _list_own(services, who, own.id), key=last_used, default=None)
    choice = given if given is not None else last_choice(last, settings)
    engines = await services.inspection.engines(who)
    engine, refused = _engine_of(services, own, choice, engines)
    running = (await services.sessions.list_(who, states=ALIVE, limit=_MOST_LISTED)).items
    filled = f"/w/{own.id}/launch" + (f"?{choice.query}" if choice.query else "")
    return await render(
        request,
        "launch.html",
        who,
        status=status_of(problem),
        workspace=own,
        choice=choice,
        tiles=list_tiles(own, settings, engine),
        only_profiles=settings.only_profiles,
        outlook=foresee(choice, own, settings, engine, running=len(running), most=most, refused=refused),
        engine=engine,
        engines=engines,
        filled_path=filled,
        filled_address=f"{services.platform.address}{filled}",
        problem=problem,
        canonical=filled if problem else None,
    )


def _engine_of(
    services: Services, workspace: Workspace, choice: Choice, engines: list[EngineInfo]
) -> tuple[EngineInfo, StudioloError | None]:
    """Return the engine that a choice means, or the workspace's, and why it cannot run there."""
    refused: StudioloError | None = None
    try:
        services.engines.choose_for(choice.engine or None, workspace.engine, workspace.min_isolation)
    except StudioloError as problem:
        refused = problem
    by_name = {one.name: one for one in engines}
    return by_name.get(choice.engine or workspace.engine or "", engines[0]), refused
