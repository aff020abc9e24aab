"""A real front door between a stand-in control plane and a stand-in session, all of them on real sockets."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from studiolo.kit.notify import NotifyReceiver
from studiolo.server.settings import Settings
from studiolo.server.supervisor.caddyfile import caddy_binary, write_caddyfile

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


@dataclass
class Seen:
    """One request as an application met it. `headers`: lower-case names, repeated ones in a list."""

    method: str
    path: str
    query: str
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = self.headers.get(name.lower())
        return ", ".join(values) if values else None


@dataclass
class StandIn:
    """An application that notes what reaches it and answers 200 `{"by": name}`, or what `answer` says."""

    name: str
    seen: list[Seen] = field(default_factory=list)
    answer: Callable[[Seen], tuple[int, dict[str, str], bytes]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        seen = Seen(scope.get("method", "WS"), scope["raw_path"].decode(), scope["query_string"].decode(), headers, b"")
        self.seen.append(seen)
        if scope["type"] == "websocket":
            await _echo(receive, send)
            return
        seen.body = await _body(receive)
        status, extra, body = self.answer(seen) if self.answer else (200, {}, json.dumps({"by": self.name}).encode())
        pairs = [(name.encode(), value.encode()) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})


@contextlib.asynccontextmanager
async def serving(app: StandIn, path: Path) -> AsyncIterator[None]:
    """Serve an application on a unix socket."""
    path.unlink(missing_ok=True)
    config = uvicorn.Config(
        app, uds=str(path), log_config=None, access_log=False, lifespan="off", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await task
        path.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def caddy(settings: Settings) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run the front door until the block ends; yields when it says that it is ready."""
    caddyfile = write_caddyfile(settings)
    with NotifyReceiver(settings.runtime_dir / "notify.front-door.sock") as notify:
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(notify.path),
            "XDG_DATA_HOME": str(settings.data_dir),
            "XDG_CONFIG_HOME": str(settings.data_dir),
        }
        argv = [str(caddy_binary()), "run", "--adapter", "caddyfile", "--config", str(caddyfile)]
        with (settings.data_dir / "caddy.log").open("wb") as log:
            process = subprocess.Popen(argv, env=environment, stderr=log, stdout=log)
        try:
            async with asyncio.timeout(20):
                while (await notify.receive()).get("READY") != "1":
                    pass
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 15)
