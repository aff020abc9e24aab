"""The websocket of live pages: says what changed, never what it is."""

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect

from studiolo.contract.errors import Unavailable
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.live import Listener, Live
from studiolo.server.principal import Principal

router = APIRouter()
_IDLE_SECONDS = 15.0
# Logins end by time too, or by another process's hand: nobody tells us then (promise S5).
_CHECK_SECONDS = 3.0


@router.websocket("/live")
async def live(
    socket: WebSocket,
    who: Annotated[Principal, Depends(Allow("account.read"))],
    hub: Annotated[Live, Depends(service("live"))],
    authentication: Annotated[Authentication, Depends(service("authentication"))],
) -> None:
    """Send `{"topic": …}` for each change; closes with 4401 when the login ends. For pages: keys are refused."""
    if who.login_id is None:
        await socket.close()
        return
    await socket.accept()
    with hub.listening(who.person_id, who.login_id, is_admin=who.is_admin) as listener:
        sending = asyncio.create_task(_send(socket, listener))
        watching = asyncio.create_task(_watch(listener, who, authentication))
        try:
            # Nothing is expected from the page; reading notices that it went away.
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            pass
        finally:
            sending.cancel()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sending


async def _watch(listener: Listener, who: Principal, authentication: Authentication) -> None:
    is_current = True
    while is_current:
        await asyncio.sleep(_CHECK_SECONDS)
        with contextlib.suppress(Unavailable):
            is_current = await authentication.is_current(who)
    listener.offer(None)


async def _send(socket: WebSocket, listener: Listener) -> None:
    while True:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                topic = await listener.topics.get()
        except TimeoutError:
            # So that the page notices a dead connection.
            topic = "tick"
        if topic is None:
            await socket.close(4401)
            return
        await socket.send_json({"topic": topic})
