"""A session's page in each of its states, and what can be done to it."""

import json
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import Session, SessionState, Snooze
from studiolo.contract.resources import Resources, SessionUsage
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.charts import Chart, draw
from studiolo.server.web.launch_choices import more_memory
from studiolo.server.web.render import local, render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_LOG_LINES = 60
_TAIL_LINES = 10
_LAST_MINUTES = timedelta(minutes=10)
_Back = Annotated[str, Form(max_length=2000)]
_Size = Annotated[str, Form(max_length=40)]
_HEADINGS = {
    SessionState.STARTING: "JupyterLab is starting",
    SessionState.RUNNING: "JupyterLab is running",
    SessionState.STOPPING: "JupyterLab is stopping",
    SessionState.STOPPED: "JupyterLab is stopped",
    SessionState.FAILED: "JupyterLab failed",
    SessionState.UNKNOWN: "We cannot see this session",
}


@router.get("/sessions/{session}")
async def show(
    request: Request,
    session: str,
    who: Annotated[Principal, Depends(Allow("session.read"))],
    services: ServicesOf,
    entering: bool = False,
    next: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """A session as it is now; `entering`: for the page that waits at `/go/{id}`, which reads itself from here."""
    found = await services.sessions.get(who, session)
    return await show_session(request, who, found, entering=entering, inside=next)


@router.post("/sessions/{session}/start")
async def start(
    request: Request,
    session: str,
    who: Annotated[Principal, Depends(Allow("session.start"))],
    services: ServicesOf,
    next: Annotated[str, Form(max_length=2000)] = "",
    memory: _Size = "",
) -> Response:
    """Start again what ended, with other memory if that is said, and go there."""
    try:
        started = await services.sessions.start(who, session, resources=_memory(memory))
    except StudioloError as problem:
        return await _refused(request, who, services, session, problem)
    return see(f"/go/{started.id}" + (f"?{urlencode({'next': next})}" if next else ""))


@router.post("/sessions/{session}/stop")
async def stop(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.stop"))],
    services: ServicesOf,
    back: _Back = "",
) -> Response:
    """Stop; waits a moment, so that the page that follows shows the result."""
    stopped = await services.sessions.wait(who, await services.sessions.stop(who, session), 1.0)
    return see(local(back, f"/sessions/{stopped.id}"), "stopped" if stopped.state is SessionState.STOPPED else None)


@router.post("/sessions/{session}/restart")
async def restart(
    request: Request,
    session: str,
    who: Annotated[Principal, Depends(Allow("session.restart"))],
    services: ServicesOf,
    memory: _Size = "",
) -> Response:
    """End its server and kernels and start it anew, with other memory if that is said."""
    try:
        restarted = await services.sessions.restart(who, session, resources=_memory(memory))
    except StudioloError as problem:
        return await _refused(request, who, services, session, problem)
    return see(f"/sessions/{restarted.id}", "restarted")


@router.post("/sessions/{session}/snooze")
async def keep_running(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.snooze"))],
    services: ServicesOf,
    back: _Back = "",
) -> Response:
    """Keep an idle session for another while."""
    kept = await services.idle_stop.snooze(who, session, Snooze())
    return see(local(back, f"/sessions/{kept.id}"), "kept")


@router.post("/sessions/{session}/forget")
async def forget(
    request: Request,
    session: str,
    who: Annotated[Principal, Depends(Allow("session.delete"))],
    services: ServicesOf,
    back: _Back = "",
) -> Response:
    """Take an ended session off the lists; files stay."""
    try:
        await services.sessions.delete(who, session)
    except StudioloError as problem:
        return await _refused(request, who, services, session, problem)
    return see(local(back), "forgotten")


async def show_session(
    request: Request,
    who: Principal,
    session: Session,
    *,
    entering: bool = False,
    inside: str = "",
    problem: StudioloError | None = None,
) -> Response:
    """Return the page of a session; `entering`: it moves on to `inside` by itself when the session is ready."""
    services: Services = request.app.state.services
    log = [] if session.state in (SessionState.RUNNING, SessionState.UNKNOWN) else await _log(services, who, session)
    tail = (session.reason.log_tail if session.reason else []) or log
    usage = await _usage(services, who, session)
    return await render(
        request,
        "session.html",
        who,
        status=status_of(problem),
        session=session,
        entering=entering,
        inside=inside,
        go_url=f"/go/{session.id}" + (f"?{urlencode({'next': inside})}" if inside else ""),
        here=f"/sessions/{session.id}" + (f"?{urlencode({'entering': 'yes', 'next': inside})}" if entering else ""),
        heading=_HEADINGS[session.state],
        step_since=step_since(session),
        log=log,
        tail=tail[-_TAIL_LINES:] if session.state is SessionState.FAILED else [],
        details=describe(session, tail[-_TAIL_LINES:]),
        usage=usage,
        memory_chart=_memory_chart(usage, session),
        cpu_chart=_cpu_chart(usage),
        # Where only profiles count, another number would be refused.
        more_memory=None if services.settings.resources.only_profiles else more_memory(session),
        problem=problem,
        canonical=f"/sessions/{session.id}" if problem else None,
    )


def step_since(session: Session) -> datetime | None:
    """Return since when the step under way lasts, where that is known (a later launch's request is not)."""
    if session.started_at is not None:
        return session.started_at
    return session.created_at if session.launch == 1 else None


def describe(session: Session, tail: list[str]) -> str:
    """Return what to hand to whoever can help: the session without its person's data, and its last lines."""
    facts: dict[str, Any] = {
        "session": session.id,
        "launch": session.launch,
        "engine": session.engine,
        "state": session.state.value,
        "code": session.reason.code if session.reason else None,
        "message": session.reason.message if session.reason else None,
        "ended_at": session.ended_at.isoformat() if session.ended_at else None,
        "steps": [f"{step.name}: {step.state}" for step in session.steps],
    }
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n\n" + "\n".join(tail)


async def _log(services: Services, who: Principal, session: Session) -> list[str]:
    """The end of the log for those who may read it; a page does without it."""
    try:
        return (await services.sessions.log(who, session.id, lines=_LOG_LINES)).lines
    except StudioloError:
        return []


async def _usage(services: Services, who: Principal, session: Session) -> SessionUsage | None:
    """What it uses, for those who may see it; before it was ready there is nothing to see."""
    if session.ready_at is None:
        return None
    try:
        return await services.session_usages.get(who, session.id)
    except StudioloError:
        return None


def _memory_chart(usage: SessionUsage | None, session: Session) -> Chart | None:
    if usage is None:
        return None
    samples = usage.history + ([usage.now] if usage.now else [])
    span = None if session.state is SessionState.RUNNING else _LAST_MINUTES
    return draw([(sample.at, sample.memory) for sample in samples], limit=usage.limits.memory, span=span)


def _cpu_chart(usage: SessionUsage | None) -> Chart | None:
    if usage is None or usage.now is None:
        return None
    return draw([(sample.at, sample.cpu) for sample in [*usage.history, usage.now]], limit=usage.limits.cpu)


def _memory(text: str) -> Resources | None:
    return forms.read(Resources, memory=text) if text else None


async def _refused(
    request: Request, who: Principal, services: Services, reference: str, problem: StudioloError
) -> Response:
    return await show_session(request, who, await services.sessions.get(who, reference), problem=problem)
