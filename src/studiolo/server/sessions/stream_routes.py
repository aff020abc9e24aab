"""REST of what a session uses and of its streams (`text/event-stream`), and of keeping it when it is idle."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from studiolo.contract.models import Session, Snooze
from studiolo.contract.resources import SessionUsage
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.http.streaming import asking, described, respond
from studiolo.server.principal import Principal
from studiolo.server.sessions.idle_stop import IdleStop
from studiolo.server.sessions.streams import SessionStreams
from studiolo.server.sessions.usage import SessionUsages

router = APIRouter(tags=["sessions"])
_Streams = Annotated[SessionStreams, Depends(service("session_streams"))]
_NOTHING = b": nothing new\n\n"


@router.get("/{session}/usage")
async def session_usage(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.usage"))],
    usages: Annotated[SessionUsages, Depends(service("session_usages"))],
) -> SessionUsage:
    """What it uses now, its limits, its last hour, and what of it ran out of memory."""
    return await usages.get(who, session)


@router.post("/{session}/snooze")
async def snooze(
    session: str,
    who: Annotated[Principal, Depends(Allow("session.snooze"))],
    idle_stop: Annotated[IdleStop, Depends(service("idle_stop"))],
    form: Snooze | None = None,
) -> Session:
    """Keep an idle session running a while longer."""
    return await idle_stop.snooze(who, session, form or Snooze())


@router.get(
    "/{session}/progress",
    response_class=StreamingResponse,
    responses=described("`event: session`, data: a Session. `event: problem`, data: a Problem, when your access ends."),
)
async def progress(
    session: str,
    request: Request,
    who: Annotated[Principal, Depends(Allow("session.read"))],
    streams: _Streams,
) -> StreamingResponse:
    """A start or stop as it goes on, until the session has settled. `POST …/stop` cancels a start."""
    sessions = await streams.progress(who, session, asking(request))

    async def events() -> AsyncIterator[bytes]:
        async with aclosing(sessions):
            async for seen in sessions:
                yield format_sse_event(event="session", data_str=seen.model_dump_json())

    return respond(events(), request)


@router.get(
    "/{session}/log/stream",
    response_class=StreamingResponse,
    responses=described("`event: line`, data: the line. `event: end` when the launch has ended."),
)
async def logdescribed(
    session: str,
    request: Request,
    who: Annotated[Principal, Depends(Allow("session.log"))],
    streams: _Streams,
    lines: Annotated[int, Query(ge=0, le=2000, description="Lines to begin with.")] = 100,
) -> StreamingResponse:
    """Its log as it is written, until the present launch has ended."""
    found = await streams.log(who, session, lines, asking(request))

    async def events() -> AsyncIterator[bytes]:
        async with aclosing(found):
            async for line in found:
                yield _NOTHING if line is None else format_sse_event(event="line", data_str=line)
        yield format_sse_event(event="end", data_str="")

    return respond(events(), request)
