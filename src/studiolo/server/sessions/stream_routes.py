"""REST of what a session uses and of its streams (`text/event-stream`), and of keeping it when it is idle."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from studiolo.contract.errors import NotSignedIn, StudioloError
from studiolo.contract.models import Session, Snooze
from studiolo.contract.resources import SessionUsage
from studiolo.server.http.identity import Allow, Identity
from studiolo.server.http.problems import problem
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.sessions.idle_stop import IdleStop
from studiolo.server.sessions.streams import AskWho, SessionStreams
from studiolo.server.sessions.usage import SessionUsages

router = APIRouter(tags=["sessions"])
_Streams = Annotated[SessionStreams, Depends(service("session_streams"))]
_NOTHING = b": nothing new\n\n"


def _stream(description: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {"text/event-stream": {"schema": {"type": "string"}}}}}


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
    responses=_stream("`event: session`, data: a Session. `event: problem`, data: a Problem, when your access ends."),
)
async def progress(
    session: str,
    request: Request,
    who: Annotated[Principal, Depends(Allow("session.read"))],
    streams: _Streams,
) -> StreamingResponse:
    """A start or stop as it goes on, until the session has settled. `POST …/stop` cancels a start."""
    sessions = await streams.progress(who, session, _asking(request))

    async def events() -> AsyncIterator[bytes]:
        async with aclosing(sessions):
            async for seen in sessions:
                yield format_sse_event(event="session", data_str=seen.model_dump_json())

    return _respond(events(), request)


@router.get(
    "/{session}/log/stream",
    response_class=StreamingResponse,
    responses=_stream("`event: line`, data: the line. `event: end` when the launch has ended."),
)
async def log_stream(
    session: str,
    request: Request,
    who: Annotated[Principal, Depends(Allow("session.log"))],
    streams: _Streams,
    lines: Annotated[int, Query(ge=0, le=2000, description="Lines to begin with.")] = 100,
) -> StreamingResponse:
    """Its log as it is written, until the present launch has ended."""
    found = await streams.log(who, session, lines, _asking(request))

    async def events() -> AsyncIterator[bytes]:
        async with aclosing(found):
            async for line in found:
                yield _NOTHING if line is None else format_sse_event(event="line", data_str=line)
        yield format_sse_event(event="end", data_str="")

    return _respond(events(), request)


def _asking(request: Request) -> AskWho:
    identity: Identity = request.app.state.identity

    async def ask() -> Principal:
        who = await identity.find(request)
        if who is None:
            raise NotSignedIn("login-ended", "Your sign-in has ended.", hint="Sign in again.")
        return who

    return ask


def _respond(events: AsyncIterator[bytes], request: Request) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_to_the_end(events, request), media_type="text/event-stream", headers=headers)


async def _to_the_end(events: AsyncIterator[bytes], request: Request) -> AsyncGenerator[bytes]:
    """Pass events on; a right that ends meanwhile is said as the last event, since the status has left already."""
    try:
        async for event in events:
            yield event
    except StudioloError as error:
        told = bytes(problem(error, request.scope.get("request_id")).body)
        yield format_sse_event(event="problem", data_str=json.dumps(json.loads(told)))
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
