"""A front door in miniature: kernels' paths go to a kernel host, all others to a stock JupyterLab."""

import asyncio
import json
import re
import threading
from typing import Any

import aiohttp
from aiohttp import web

_KERNELS = re.compile(r"/api/(kernels|sessions|kernelspecs)(/|$)")
_HOP = {"connection", "content-encoding", "content-length", "transfer-encoding"}


class Front:
    """Runs in a thread; `cut()` drops every websocket as a network does that fails."""

    def __init__(self, lab: str, host: str) -> None:
        self._upstreams = (lab, host)
        self._sockets: dict[web.WebSocketResponse, asyncio.Event] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0
        # What the platform has to say, for our plug-in; None: a server without it. `told`: what plug-ins sent.
        self.here: dict[str, Any] | None = None
        self.told: list[dict[str, Any]] = []
        # What the front door says instead, with its status, when there is no way in.
        self.shut: tuple[int, dict[str, Any]] | None = None

    def __enter__(self) -> "Front":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Drop all websockets without a goodbye, and return when the servers behind know: what they wrote into a socket
        that nobody reads any more is lost to a client of Jupyter's protocol.
        """
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(60)

    async def _cut(self) -> None:
        dropped = dict(self._sockets)
        for socket in dropped:
            self._drop(socket)
        for left in dropped.values():
            await left.wait()

    @staticmethod
    def _drop(socket: web.WebSocketResponse) -> None:
        transport = socket._req.transport if socket._req is not None else None
        if transport is not None:
            transport.abort()  # type: ignore[attr-defined]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        jar, patient = aiohttp.DummyCookieJar(), aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=patient) as self._client:
            app = web.Application(client_max_size=1 << 30)
            app.router.add_route("*", "/{path:.*}", self._pass)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            self._ready.set()
            await self._over.wait()
            await runner.cleanup()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        address = self._upstreams[bool(_KERNELS.match(request.path))] + str(request.rel_url)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._join(request, address)
        body = await request.read()
        if request.path.endswith("/studiolo/here") and self.here is not None:
            self.told.append(json.loads(body))
            if self.shut is not None:
                return web.json_response(self.shut[1], status=self.shut[0])
            return web.json_response(self.here)
        options: dict[str, Any] = {"headers": request.headers, "data": body, "allow_redirects": False}
        async with self._client.request(request.method, address, **options) as reply:
            headers = [(name, value) for name, value in reply.headers.items() if name.lower() not in _HOP]
            return web.Response(status=reply.status, headers=headers, body=await reply.read())

    async def _join(self, request: web.Request, address: str) -> web.StreamResponse:
        left = asyncio.Event()
        try:
            return await self._carry_both(request, address, left)
        finally:
            left.set()

    async def _carry_both(self, request: web.Request, address: str, left: asyncio.Event) -> web.StreamResponse:
        offered = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        headers = {name: request.headers[name] for name in ("Cookie", "Origin", "Host") if name in request.headers}
        async with self._client.ws_connect(
            address, protocols=[word for word in offered if word], headers=headers, max_msg_size=0
        ) as above:
            below = web.WebSocketResponse(protocols=[above.protocol] if above.protocol else (), max_msg_size=0)
            await below.prepare(request)
            self._sockets[below] = left
            ways = [asyncio.create_task(_carry(below, above)), asyncio.create_task(_carry(above, below))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            del self._sockets[below]
            await above.close()
            await below.close()
        return below


async def _carry(source: Any, target: Any) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
