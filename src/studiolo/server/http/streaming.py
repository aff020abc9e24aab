"""Answers that go on (`text/event-stream`): for as long as whoever reads them may, and to their last event."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from studiolo.contract.errors import NotSignedIn, StudioloError
from studiolo.server.http.identity import Identity
from studiolo.server.http.problems import problem
from studiolo.server.principal import Principal

# Raises when the login or key that opened the stream has ended.
AskWho = Callable[[], Awaitable[Principal]]


def described(description: str) -> dict[int | str, dict[str, Any]]:
    """Return what a route's description says of its stream."""
    return {200: {"description": description, "content": {"text/event-stream": {"schema": {"type": "string"}}}}}


def asking(request: Request) -> AskWho:
    """Return how to ask again, while a stream goes on, whether its reader is still signed in."""
    identity: Identity = request.app.state.identity

    async def ask() -> Principal:
        who = await identity.find(request)
        if who is None:
            raise NotSignedIn("login-ended", "Your sign-in has ended.", hint="Sign in again.")
        return who

    return ask


def respond(events: AsyncIterator[bytes], request: Request) -> StreamingResponse:
    """Answer with a stream; a right that ends meanwhile is said as its last event, `problem`."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_to_the_end(events, request), media_type="text/event-stream", headers=headers)


async def _to_the_end(events: AsyncIterator[bytes], request: Request) -> AsyncGenerator[bytes]:
    """Pass events on; the status has left already when one raises."""
    try:
        async for event in events:
            yield event
    except StudioloError as error:
        told = bytes(problem(error, request.scope.get("request_id")).body)
        yield format_sse_event(event="problem", data_str=json.dumps(json.loads(told)))
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
