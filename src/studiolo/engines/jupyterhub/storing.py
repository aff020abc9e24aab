"""Files of workspaces at a Hub: in a folder of its user's, carried by a kernel of a server (see `runtime.carried`).

Its servers give no other way to all files: the contents API shows none that are hidden, and keeps no modes or links.
"""

import asyncio
import base64
import hashlib
import inspect
import json
import re
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from studiolo.contract.errors import NotFound, Unavailable
from studiolo.engines.base import Store, StoredPlace
from studiolo.engines.carrying import CarriedStore, calls_by
from studiolo.engines.jupyterhub.api import HubAPI, HubRefusal
from studiolo.engines.jupyterhub.names import Key, user_of
from studiolo.engines.jupyterhub.servers import HubServer
from studiolo.engines.jupyterhub.settings import HubSettings
from studiolo.runtime import carried

# Has a server started; makes its user first where the settings say so.
Start = Callable[[Key, dict[str, Any], str], Awaitable[None]]
_START_SECONDS = 180.0
_LOOK_SECONDS = 0.5
_CALL_SECONDS = 60.0
_TOKEN_SECONDS = 24 * 3600
# Below where the server begins: what its people see, and what is kept where not all of a home is.
_SET_UP = """
import base64, glob, os, shutil
_studiolo = {{"__name__": "carried"}}
exec(compile(base64.b64decode("{source}"), "carried", "exec"), _studiolo)
_studiolo_root = os.path.abspath((sorted(glob.glob("studiolo/*-{digest}")) or ["studiolo/{name}-{digest}"])[0])
os.makedirs(_studiolo_root, exist_ok=True)
_studiolo_folder = _studiolo["CarriedFolder"](_studiolo_root)
def _studiolo_call(text):
    return base64.b64encode(_studiolo["answer"](_studiolo_folder, base64.b64decode(text))).decode()
"""


class HubStores:
    """Opens and removes what a Hub keeps of workspaces. Raises HubRefusal beside what Stores does.

    The server's name is no launch's (see ServerNames.read): nobody sweeps it.
    """

    def __init__(self, api: HubAPI, settings: HubSettings, instance: str, start: Start) -> None:
        self._api = api
        self._settings = settings
        self._instance = hashlib.sha256(instance.encode()).hexdigest()[:6]
        self._start = start

    @asynccontextmanager
    async def open(self, place: StoredPlace) -> AsyncGenerator[Store]:
        """See Stores.open_store."""
        async with self._kernel(place) as kernel:
            yield CarriedStore(calls_by(kernel.exchange))

    async def forget(self, place: StoredPlace) -> None:
        """See Stores.forget_store."""
        # Who is nobody there has no files there.
        with suppress(NotFound):
            async with self._kernel(place) as kernel:
                await kernel.run("shutil.rmtree(_studiolo_root)")

    @asynccontextmanager
    async def _kernel(self, place: StoredPlace) -> AsyncGenerator["_Kernel"]:
        digest = hashlib.sha256(str(place.folder).encode()).hexdigest()[:10]
        key = Key(user_of(place.person, self._settings), f"carrier-{digest}-{self._instance}")
        # Of an opening that was killed, perhaps ended by now: the Hub keeps its name.
        await self._remove(key)
        try:
            await self._start(key, {}, place.person)
            server = await self._await_start(key)
            token = await self._api.mint_token(key, seconds=_TOKEN_SECONDS)
            async with _open_kernel(f"{self._settings.upstream}{server.url}", token) as kernel:
                name = re.sub(r"[^a-z0-9-]+", "-", place.name.lower())[:40]
                source = base64.b64encode(inspect.getsource(carried).encode()).decode()
                await kernel.run(_SET_UP.format(source=source, digest=digest, name=name))
                yield kernel
        finally:
            with suppress(HubRefusal, Unavailable):
                await asyncio.shield(self._remove(key))

    async def _await_start(self, key: Key) -> HubServer:
        for _ in range(round(_START_SECONDS / _LOOK_SECONDS)):
            server = (await self._api.find_servers(key.user) or {}).get(key)
            if server is not None and server.ready:
                return server
            if server is None or not server.is_active:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        raise _away("The server at the JupyterHub that carries the workspace's files does not start.")

    async def _remove(self, key: Key) -> None:
        """End the server and have the Hub forget it; returns once it is gone."""
        if key not in (await self._api.find_servers(key.user) or {}):
            return
        await self._api.stop(key, remove=True)
        for _ in range(round(_START_SECONDS / _LOOK_SECONDS)):
            if key not in (await self._api.find_servers(key.user) or {}):
                return
            await asyncio.sleep(_LOOK_SECONDS)
        raise _away("The server at the JupyterHub that carried the workspace's files does not end.")


class _Kernel:
    """A kernel at the other end of a connection; one request at a time."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def exchange(self, body: bytes, seconds: float) -> bytes:
        """Have a call done there, see carrying.calls_by."""
        text = base64.b64encode(body).decode()
        return base64.b64decode(await self.evaluate(f"_studiolo_call('{text}')", seconds))

    async def run(self, code: str) -> None:
        """Run code."""
        await self._ask(code, {}, _CALL_SECONDS)

    async def evaluate(self, expression: str, seconds: float) -> str:
        """Return the text that an expression gives, of signs that need no escape.

        In the reply and not as output: of outputs a server drops what comes too fast.
        """
        told = (await self._ask("", {"told": expression}, seconds)).get("user_expressions", {}).get("told", {})
        if told.get("status") != "ok":
            raise _away("The kernel at the JupyterHub cannot handle files.", str(told)[:500])
        return str(told["data"]["text/plain"])[1:-1]

    async def _ask(self, code: str, expressions: dict[str, str], seconds: float) -> dict[str, Any]:
        message_id = uuid.uuid4().hex
        content = {"code": code, "silent": True, "store_history": False, "allow_stdin": False}
        header = {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": "", "version": "5.3"}
        rest = {"parent_header": {}, "metadata": {}, "channel": "shell", "buffers": []}
        request = {"header": header, "content": {**content, "user_expressions": expressions}, **rest}
        try:
            async with asyncio.timeout(seconds):
                await self._connection.send(json.dumps(request))
                async for text in self._connection:
                    reply = json.loads(text)
                    if reply.get("channel") == "shell" and reply["parent_header"].get("msg_id") == message_id:
                        break
                else:
                    raise ConnectionError("closed")
        except (WebSocketException, OSError, ValueError, TimeoutError) as exc:
            raise _away("The kernel at the JupyterHub does not answer.", repr(exc)) from exc
        told: dict[str, Any] = reply["content"]
        if told.get("status") != "ok":
            raise _away("The kernel at the JupyterHub cannot handle files.", str(told.get("evalue"))[:500])
        return told


@asynccontextmanager
async def _open_kernel(server: str, token: str) -> AsyncGenerator[_Kernel]:
    """Start a kernel of a server; it ends with the block. `server`: its address, which ends with `/`."""
    headers = {"Authorization": f"token {token}"}
    async with AsyncExitStack() as opened:
        client = httpx.AsyncClient(headers=headers, timeout=_CALL_SECONDS, trust_env=False)
        await opened.enter_async_context(client)
        try:
            made = (await client.post(f"{server}api/kernels", json={})).raise_for_status().json()
            kernel = f"{server}api/kernels/{made['id']}"
            opened.push_async_callback(_end, client, kernel)
            address = f"ws{kernel.removeprefix('http')}/channels"
            way = connect(address, additional_headers=headers, max_size=None, proxy=None)
            connection = await opened.enter_async_context(way)
        except (httpx.HTTPError, WebSocketException, OSError, ValueError, KeyError) as exc:
            raise _away("The server at the JupyterHub gives no kernel.", repr(exc)) from exc
        yield _Kernel(connection)


async def _end(client: httpx.AsyncClient, kernel: str) -> None:
    # With its server it ends too.
    with suppress(httpx.HTTPError):
        await client.delete(kernel)


def _away(said: str, detail: str | None = None) -> Unavailable:
    hint = "It is tried again by itself; the Hub's own log says more."
    return Unavailable("engine-unavailable", said, hint=hint, detail=detail)
