"""What clients send: read by their protocol, held to limits and rights, passed on to the kernel or answered here."""

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode

from studiolo.gateway.base import KernelState, Parts, Right
from studiolo.gateway.bridge.clients import Client
from studiolo.gateway.bridge.lanes import Waiting
from studiolo.gateway.bridge.requests import Request
from studiolo.gateway.messages.frames import BadFrameError
from studiolo.gateway.messages.protocols import Protocol, unseal
from studiolo.gateway.messages.replies import error_reply, read_content, reply_type, status
from studiolo.gateway.messages.websocket import Message
from studiolo.gateway.messages.wire import BadMessageError, Header, build, read_header

if TYPE_CHECKING:
    from studiolo.gateway.bridge.kernel import Kernel

# Frames beyond this are decoded beside the event loop.
BIG_FRAME = 256 * 1024
# After so many frames of one client the others have their turn.
TURN_FRAMES = 32


class Intake:
    """Reads the websockets of one kernel's clients."""

    def __init__(self, kernel: "Kernel") -> None:
        self._kernel = kernel

    async def read(self, client: Client) -> None:
        """Take what a client sends until its websocket closes; close it where it breaks the protocol."""
        count = 0
        while (message := await client.socket.receive()) is not None:
            try:
                await self._take(client, message)
            except (BadFrameError, BadMessageError) as error:
                client.close(_close_code(client, message), error.reason)
                return
            count += 1
            if count % TURN_FRAMES == 0:
                await asyncio.sleep(0)

    async def _take(self, client: Client, message: Message) -> None:
        if len(message.data) > BIG_FRAME:
            channel, parts = await asyncio.to_thread(unseal, client.protocol, message.data)
        else:
            channel, parts = unseal(client.protocol, message.data)
        header = read_header(parts)
        if channel == "iopub":
            raise BadFrameError("clients send nothing on iopub")
        await client.taken()
        if Right.EXECUTE not in client.caller.rights:
            await self._answer_viewer(client, channel, header, parts)
        elif self._kernel.exit is not None:
            self._refuse(client, channel, header, parts, "DeadKernelError", self._kernel.exit.message)
        elif channel == "stdin":
            self._take_input(client, header, parts)
        else:
            await self._pass_on(client, channel, header, parts)

    async def _pass_on(self, client: Client, channel: str, header: Header, parts: list[bytes]) -> None:
        """Send a message: on shell in the client's turn, on control and to a subshell as soon as ZMQ takes it."""
        kernel = self._kernel
        if client.protocol is Protocol.NUMBERED and self._is_repeated(client, channel, header, parts):
            return
        request = None
        if reply_type(header.msg_type) is not None:
            request = Request(header.msg_id, header.msg_type, header.session, parts[0], client.place)
            cell = code = None
            if header.msg_type == "execute_request":
                content = read_content(parts)
                request.stops = not content.get("silent") and bool(content.get("stop_on_error", True))
                cell, code = _cell(parts), content.get("code")
            kernel.requests.note(request)
            kernel.journal.note_request(
                header.msg_id, header.msg_type, header.session, cell, code=code if isinstance(code, str) else None
            )
        kernel.comms.see(header.msg_type, parts)
        client.is_blocked = True
        try:
            if channel == "shell" and header.subshell_id is None:
                await kernel.lanes.put(client.place, Waiting(parts, request))
            else:
                await kernel.has_room(channel)
                kernel.send(channel, parts)
        finally:
            client.is_blocked = False

    def _is_repeated(self, client: Client, channel: str, header: Header, parts: list[bytes]) -> bool:
        """Tell whether a message was passed on before, and give the reply again if it was written before."""
        known = self._kernel.journal.request(header.msg_id)
        if known is not None and known.session != header.session:
            known = None
        if client.place.hear(header.msg_id) and known is None:
            return False
        if (reply := client.place.heard[header.msg_id]) is not None:
            client.deliver(reply)
        elif known is None or known.ended is not None:
            self._refuse(client, channel, header, parts, "ReplyLost", "It was answered, and the reply is not kept.")
        return True

    def _take_input(self, client: Client, header: Header, parts: list[bytes]) -> None:
        """Pass on an answer of whoever was asked; of others it is not wanted, and the protocol has no reply to it."""
        if header.msg_type == "input_reply" and client.place.asked:
            client.place.asked.pop()
            self._kernel.send("stdin", parts)

    async def _answer_viewer(self, client: Client, channel: str, header: Header, parts: Parts) -> None:
        """Answer who may only look. Clients need these two replies to connect at all."""
        if header.msg_type == "kernel_info_request":
            content = await self._kernel.information()
        elif header.msg_type == "comm_info_request":
            content = self._kernel.comms.info(read_content(parts).get("target_name"))
        else:
            why = "You may watch this kernel, but not send anything to it."
            self._refuse(client, channel, header, parts, "Forbidden", why)
            return
        reply = build(
            header.msg_type.replace("_request", "_reply"),
            content,
            session=self._kernel.session,
            parent_header=parts[0],
        )
        self._reply(client, channel, header, parts, reply)

    def _refuse(self, client: Client, channel: str, header: Header, parts: Parts, name: str, why: str) -> None:
        if reply_type(header.msg_type) is None:
            return
        session = self._kernel.session
        reply = error_reply(header.msg_type, name, why, session=session, parent_header=parts[0])
        self._reply(client, channel, header, parts, reply)

    def _reply(self, client: Client, channel: str, header: Header, parts: Parts, reply: list[bytes]) -> None:
        """Send a reply between the statuses that a kernel would send; stock clients wait for both."""
        session = self._kernel.session
        for state in (KernelState.BUSY, None, KernelState.IDLE):
            if state is None:
                client.send(channel, reply)
            else:
                client.send("iopub", status(state, session=session, parent_header=parts[0]))


def _cell(parts: Parts) -> str | None:
    """Return the id of the notebook's cell that is executed, as JupyterLab names it in the metadata."""
    try:
        metadata = json.loads(parts[2])
    except (ValueError, RecursionError):
        return None
    cell = metadata.get("cellId") if isinstance(metadata, dict) else None
    return cell if isinstance(cell, str) else None


def _close_code(client: Client, message: Message) -> int:
    if message.is_text and client.protocol is not Protocol.JSON:
        return WSCloseCode.UNSUPPORTED_DATA
    return WSCloseCode.INVALID_TEXT
