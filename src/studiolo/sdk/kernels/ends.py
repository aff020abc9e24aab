"""ZMQ sockets on this machine that stand for a kernel elsewhere.

Whatever speaks jupyter_client's own protocol connects to them and notices no difference; a thread of its own carries
each message between them and the kernel's websocket. Frames, identities and signatures: "The wire protocol" in
jupyter_client's documentation of messaging.
"""

import asyncio
import hashlib
import hmac
import os
import shutil
import tempfile
import threading
import uuid
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import zmq
import zmq.asyncio
from jupyter_client.connect import KernelConnectionInfo

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.sdk.kernel_channels import KernelAddress, KernelChannels
from studiolo.sdk.kernel_messages import KernelMessage, request
from studiolo.sdk.kernels.apart import settled

_DELIMITER = b"<IDS|MSG>"
_ASKING = ("shell", "control", "stdin")
_PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
# Requests whose sender is remembered, so that the reply finds it.
_REMEMBERED = 10_000
# Output that came before anybody subscribed is kept for the first who does.
_HELD_MESSAGES = 10_000
_STARTING_SECONDS = 30.0
# A dead kernel answers nothing, and tools that wait for it see that by asking once a second whether it is alive. So
# what a service says in its stead comes after that: for those who would wait for ever. Source: nbclient.
_SILENT_SECONDS = 3.0


class LocalEnds:
    """The sockets of one kernel. `start` them, connect to `connection`, `stop` them; the kernel goes on.

    `open` and `close` are the same for coroutines.

    `after` as of KernelChannels. What a local client does not read waits in memory, and nothing is dropped.
    """

    def __init__(self, address: KernelAddress, *, after: int | None = None, patience_seconds: float = 300.0) -> None:
        self.connection: KernelConnectionInfo = {}
        # Why the kernel is gone for good; None while it may be there.
        self.problem: str | None = None
        self.last: int | None = after
        self._address = address
        self._patience_seconds = patience_seconds
        self._key = uuid.uuid4().hex.encode()
        self._signature = hmac.new(self._key, digestmod=hashlib.sha256)
        self._senders: OrderedDict[str, list[bytes]] = OrderedDict()
        self._parent: dict[str, Any] = {}
        self._folder: Path | None = None
        self._thread: threading.Thread | None = None
        self._ended: Future[None] = Future()
        self._late: set[asyncio.Task[None]] = set()
        self._output: asyncio.Queue[KernelMessage] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def is_alive(self) -> bool:
        """Tell whether the kernel may be there: yes while the connection is cut and still being mended."""
        return self._thread is not None and self._thread.is_alive() and self.problem is None

    def start(self) -> None:
        """Connect to the kernel and open the sockets. Raises what KernelChannels does."""
        self._begin().result(timeout=_STARTING_SECONDS)

    async def open(self) -> None:
        """As `start`."""
        started = self._begin()
        try:
            async with asyncio.timeout(_STARTING_SECONDS):
                await settled(started)
        finally:
            # Whoever waits no more needs no connection either; once it is there this does nothing.
            started.cancel()
        started.result()

    def stop(self) -> None:
        """Close the sockets; stopping twice is fine."""
        self._tell_to_stop()
        if self._thread is not None:
            self._thread.join()

    async def close(self) -> None:
        """As `stop`."""
        self._tell_to_stop()
        if self._thread is not None:
            await settled(self._ended)

    def _begin(self) -> "Future[None]":
        started: Future[None] = Future()
        name = f"kernel {self._address.kernel_id[:8]}"
        self._thread = threading.Thread(target=self._live, args=(started,), daemon=True, name=name)
        self._thread.start()
        return started

    def _live(self, started: "Future[None]") -> None:
        try:
            asyncio.run(self._run(started))
        finally:
            self._ended.set_result(None)

    def _tell_to_stop(self) -> None:
        if self._loop is not None and self._stopping is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def _run(self, started: "Future[None]") -> None:
        context = zmq.asyncio.Context()
        try:
            async with KernelChannels(
                self._address, after=self.last, patience_seconds=self._patience_seconds
            ) as channels:
                sockets = self._open(context)
                self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
                if not started.set_running_or_notify_cancel():
                    return
                started.set_result(None)
                await self._carry(channels, sockets)
        except BaseException as error:
            if started.done() and not started.cancelled():
                raise
            if not started.cancelled():
                started.set_exception(error)
        finally:
            context.destroy(linger=200)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    async def _carry(self, channels: KernelChannels, sockets: "dict[str, zmq.asyncio.Socket]") -> None:
        """Carry messages until told to stop; what ends the connection for good ends the heartbeat too."""
        subscribed = asyncio.Event()
        tasks = [asyncio.create_task(self._up(name, sockets[name], channels)) for name in _ASKING]
        tasks.append(asyncio.create_task(self._beat(sockets["hb"])))
        tasks.append(asyncio.create_task(_note_subscriber(sockets["iopub"], subscribed)))
        tasks.append(asyncio.create_task(self._down(sockets, channels, subscribed)))
        await self._stopped()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stopped(self) -> None:
        assert self._stopping is not None
        await self._stopping.wait()

    async def _up(self, name: str, socket: "zmq.asyncio.Socket", channels: KernelChannels) -> None:
        while True:
            frames: list[bytes] = await socket.recv_multipart()
            if _DELIMITER not in frames:
                continue
            at = frames.index(_DELIMITER)
            signature, *parts = frames[at + 1 :]
            if len(parts) < 4 or not hmac.compare_digest(signature, self._sign(parts)):
                continue
            message = KernelMessage(name, parts)
            if name != "stdin":
                self._remember(message.id, frames[:at])
            try:
                await channels.send(message)
            except InvalidInput as error:
                await self._refuse(socket, message, error)

    async def _down(
        self, sockets: "dict[str, zmq.asyncio.Socket]", channels: KernelChannels, subscribed: asyncio.Event
    ) -> None:
        output = self._output
        publishing = asyncio.create_task(self._publish(sockets["iopub"], subscribed))
        try:
            async for message in channels:
                self.last = channels.last
                if message.channel in ("iopub", "journal"):
                    self._note(message)
                    while not subscribed.is_set() and output.qsize() > _HELD_MESSAGES:
                        output.get_nowait()
                elif _is_of_the_dead(message):
                    late = asyncio.create_task(self._reply_late(sockets.get(message.channel), message))
                    self._late.add(late)
                    late.add_done_callback(self._late.discard)
                else:
                    await self._reply(sockets.get(message.channel), message)
        except StudioloError as error:
            self.problem = error.message
            output.put_nowait(_death(self._address.kernel_id))
            await self._stopped()
        finally:
            for task in (publishing, *self._late):
                task.cancel()

    def _note(self, message: KernelMessage) -> None:
        if message.channel == "journal":
            message = _told(message, self._parent)
        elif message.type == "status":
            self.problem = "The kernel died." if message.content.get("execution_state") == "dead" else None
        self._parent = message.parent
        self._output.put_nowait(message)

    async def _publish(self, socket: "zmq.asyncio.Socket", subscribed: asyncio.Event) -> None:
        await subscribed.wait()
        while True:
            message = await self._output.get()
            await self._send(socket, [b"kernel." + message.type.encode()], message)

    async def _refuse(self, socket: "zmq.asyncio.Socket", asked: KernelMessage, error: InvalidInput) -> None:
        """Answer a request that is not sent, as a kernel would."""
        told = {"status": "error", "ename": type(error).__name__, "evalue": error.message, "traceback": [error.message]}
        kind = asked.type.replace("_request", "_reply")
        given: dict[str, Any] = {"session": self._address.kernel_id, "parent": asked.header}
        self._output.put_nowait(request("iopub", "status", {"execution_state": "busy"}, **given))
        await self._reply(socket, request(asked.channel, kind, told, **given))
        self._output.put_nowait(request("iopub", "status", {"execution_state": "idle"}, **given))

    async def _reply(self, socket: "zmq.asyncio.Socket | None", message: KernelMessage) -> None:
        """Send a reply, or a question for input, to whom the request came from."""
        sender = self._senders.get(message.parent_id)
        if socket is not None and sender is not None:
            with suppress(zmq.ZMQError):
                await self._send(socket, sender, message)

    async def _reply_late(self, socket: "zmq.asyncio.Socket | None", message: KernelMessage) -> None:
        await asyncio.sleep(_SILENT_SECONDS)
        await self._reply(socket, message)

    async def _send(self, socket: "zmq.asyncio.Socket", identities: list[bytes], message: KernelMessage) -> None:
        await socket.send_multipart([*identities, _DELIMITER, self._sign(message.parts), *message.parts])

    async def _beat(self, socket: "zmq.asyncio.Socket") -> None:
        while True:
            frames = await socket.recv_multipart()
            if self.problem is None:
                await socket.send_multipart(frames)

    def _remember(self, message_id: str, sender: list[bytes]) -> None:
        self._senders[message_id] = sender
        if len(self._senders) > _REMEMBERED:
            self._senders.popitem(last=False)

    def _sign(self, parts: Any) -> bytes:
        digest = self._signature.copy()
        for part in parts[:4]:
            digest.update(part)
        return digest.hexdigest().encode()

    def _open(self, context: "zmq.asyncio.Context") -> "dict[str, zmq.asyncio.Socket]":
        """Bind one socket per channel and say in `connection` where they are."""
        # Files that only this account reaches, where there are such sockets; elsewhere signed messages on loopback.
        has_ipc = os.name == "posix" and zmq.has("ipc")
        if has_ipc:
            self._folder = Path(tempfile.mkdtemp(prefix="studiolo-k"))
        ip = str(self._folder / "s") if self._folder is not None else "127.0.0.1"
        kinds = {"iopub": zmq.XPUB}
        sockets, ports = {}, dict(_PORTS)
        for name, number in _PORTS.items():
            socket = sockets[name] = context.socket(kinds.get(name, zmq.ROUTER))
            socket.linger = 200
            socket.sndhwm = socket.rcvhwm = 0
            if has_ipc:
                socket.bind(f"ipc://{ip}-{number}")
            else:
                ports[name] = socket.bind_to_random_port(f"tcp://{ip}")
        known: dict[str, Any] = {f"{name}_port": port for name, port in ports.items()} | {
            "transport": "ipc" if has_ipc else "tcp",
            "ip": ip,
            "key": self._key,
            "signature_scheme": "hmac-sha256",
        }
        self.connection = cast(KernelConnectionInfo, known)
        return sockets


async def _note_subscriber(socket: "zmq.asyncio.Socket", subscribed: asyncio.Event) -> None:
    while True:
        (told, *_) = await socket.recv_multipart()
        if told[:1] == b"\x01":
            subscribed.set()


def _is_of_the_dead(message: KernelMessage) -> bool:
    """Tell whether a reply is the service's own: code that raises an error of that name has been counted."""
    content = message.content
    return content.get("ename") == "DeadKernelError" and content.get("execution_count") is None


def _told(gap: KernelMessage, parent: dict[str, Any]) -> KernelMessage:
    """Return a gap as output that any front end shows, with what came before it."""
    content = gap.content
    known = content.get("messages")
    amount = "Output" if known is None else f"{known} messages of output ({content.get('bytes') or 0} bytes)"
    text = f"[{amount} of this kernel could not be kept and is missing here.]\n"
    return request(
        "iopub",
        "stream",
        {"name": "stderr", "text": text},
        session="studiolo",
        parent=parent,
        metadata={"studiolo": {"gap": content}},
    )


def _death(kernel_id: str) -> KernelMessage:
    return request("iopub", "status", {"execution_state": "dead"}, session=kernel_id)
