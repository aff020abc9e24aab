"""The websocket of live pages: says what changed, never what it is."""

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect

from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.live import Listener, Live
from studiolo.server.principal import Principal

router = APIRouter()
_IDLE_SECONDS = 15.0


@router.websocket("/live")
async def live(
    socket: WebSocket,
    who: Annotated[Principal, Depends(Allow("account.read"))],
    hub: Annotated[Live, Depends(service("live"))],
) -> None:
    """Send `{"topic": …}` for each change; closes with 4401 when the login ends."""
    await socket.accept()
    with hub.listening(who.person_id, who.login_id, is_admin=who.is_admin) as listener:
        sending = asyncio.create_task(_send(socket, listener))
        try:
            # Nothing is expected from the page; reading notices that it went away.
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            pass
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sending


async def _send(socket: WebSocket, listener: Listener) -> None:
    while True:
        try:
            topic = await asyncio.wait_for(listener.topics.get(), _IDLE_SECONDS)
        except TimeoutError:
            # So that the page notices a dead connection.
            topic = "tick"
        if topic is None:
            await socket.close(4401)
            return
        await socket.send_json({"topic": topic})
