"""An index made on the spot, and before it a real index host with a stand-in for the front door and control plane."""

import asyncio
import base64
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from environments.wheels import make_wheel
from studiolo.packages.index.app import create_app
from studiolo.packages.index.callers import HEADER, SECRET_HEADER, Caller, caller_header
from studiolo.packages.index.channels import Channels, make_channel
from studiolo.packages.index.serving import running_services
from studiolo.packages.index.wheels import metadata_of
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import Rule, read_entry

_SECRET, KEY = "a secret of this test", "a-key-of-this-test"
LONG_AGO = "2020-01-01T00:00:00Z"
JSON = "application/vnd.pypi.simple.v1+json"
_NO_CONFIG = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def rules(*entries: str) -> tuple[Rule, ...]:
    """Return rules as a policy holds them."""
    return tuple(read_entry(entry, "a test") for entry in entries)


class Origin:
    """A folder of files as an index, in either format; its flags make it as poor as real ones are."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.asked: list[str] = []
        self.uploaded: dict[str, str] = {}
        self.lies: dict[str, str] = {}
        self.speaks_json = False
        self.has_ranges = True
        self.has_metadata = False
        self.is_down = False
        self.pauses = asyncio.Event()
        self.pauses.set()
        self.app = web.Application()
        self.app.router.add_get("/simple/{name}/", self._page)
        self.app.router.add_get("/files/{file}", self._file)

    def add(self, name: str, version: str, *needs: str, uploaded: str = LONG_AGO, extra: str = "") -> Path:
        """Add a wheel that needs others."""
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
        files = {f"{name}-{version}.dist-info/METADATA": metadata, f"{name}/filler.txt": extra}
        wheel = make_wheel(self.folder, name, version, files)
        self.uploaded[wheel.name] = uploaded
        return wheel

    async def _page(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(f"page {name}")
        if self.is_down:
            raise web.HTTPBadGateway
        listed = [file for file in sorted(self.folder.iterdir()) if file.name.replace("_", "-").startswith(f"{name}-")]
        if not listed:
            raise web.HTTPNotFound
        return self._json(name, listed) if self.speaks_json else self._html(listed)

    def _json(self, name: str, listed: list[Path]) -> web.Response:
        files: list[dict[str, Any]] = []
        for file in listed:
            one = {"filename": file.name, "url": f"../../files/{file.name}", "hashes": {"sha256": self._digest(file)}}
            files.append(one | {"size": file.stat().st_size, "upload-time": self.uploaded.get(file.name)})
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files}
        return web.Response(body=json.dumps(page), content_type=JSON)

    def _html(self, listed: list[Path]) -> web.Response:
        lines = [
            f'<a href="/files/{file.name}#sha256={self._digest(file)}"'
            f' data-upload-time="{self.uploaded.get(file.name, "")}" data-core-metadata="{str(self.has_metadata).lower()}">'
            f"{file.name}</a>"
            for file in listed
        ]
        return web.Response(text="\n".join(lines), content_type="text/html")

    def _digest(self, file: Path) -> str:
        return self.lies.get(file.name) or hashlib.sha256(file.read_bytes()).hexdigest()

    async def _file(self, request: web.Request) -> web.StreamResponse:
        asked, path = request.headers.get("Range"), self.folder / request.match_info["file"]
        self.asked.append(f"{'part of' if asked else 'file'} {path.name}")
        if self.is_down:
            raise web.HTTPBadGateway
        if self.has_metadata and path.suffix == ".metadata":
            return web.Response(body=metadata_of(path.with_suffix("")))
        if not path.is_file():
            raise web.HTTPNotFound
        await self.pauses.wait()
        return web.FileResponse(path) if self.has_ranges else web.Response(body=path.read_bytes())


@dataclass
class Stage:
    """`origin`: of the channel `defaults`, `internal`: of `acme`, asked before it; `policy` may be exchanged.

    `address`: of the index's pages, with the caller's key; `told`: what the control plane was told, unless `is_deaf`.
    """

    tmp: Path
    origin: Origin
    internal: Origin
    policy: Policy
    address: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)
    is_deaf: bool = False

    async def get(self, path: str, **headers: str) -> tuple[int, bytes, Any]:
        """Ask the host; return status, body and headers."""
        url = f"{self.address.removesuffix('/simple/')}/{path}"
        async with aiohttp.ClientSession() as client, client.get(url, headers=headers, allow_redirects=False) as reply:
            return reply.status, await reply.read(), reply.headers

    async def page(self, name: str) -> dict[str, Any]:
        """Return a project's page, in JSON."""
        status, body, _ = await self.get(f"simple/{name}/", Accept=JSON)
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    async def pip(self, *words: str, **variables: str) -> tuple[int, str]:
        """Run a real `pip install` into a folder of its own; return exit code and output."""
        command = [sys.executable, "-m", "pip", "install", "--target", str(self.tmp / "target"), "--no-cache-dir"]
        return await self._run([*command, *words], {"PIP_INDEX_URL": self.address, "PIP_RETRIES": "0"} | variables)

    async def uv(self, *words: str, **variables: str) -> tuple[int, str]:
        """Run a real `uv pip install` likewise."""
        command = ["uv", "pip", "install", "--python", sys.executable, "--target", str(self.tmp / "target")]
        known = {"UV_DEFAULT_INDEX": self.address, "UV_CACHE_DIR": str(self.tmp / "uv-cache"), "UV_HTTP_RETRIES": "0"}
        return await self._run([*command, *words], known | variables)

    @property
    def installed(self) -> set[str]:
        """What was installed, by name and version."""
        return {info.name.removesuffix(".dist-info") for info in (self.tmp / "target").glob("*.dist-info")}

    async def entries(self, kind: str) -> list[dict[str, Any]]:
        """Wait until the control plane was told something of that kind; return all of it."""
        async with asyncio.timeout(30):
            while not (found := [entry for entry in self.told if entry["kind"] == kind]):
                await asyncio.sleep(0.05)
        return found

    async def _run(self, command: list[str], variables: dict[str, str]) -> tuple[int, str]:
        machine = {n: v for n, v in os.environ.items() if not n.startswith(("PIP_", "UV_"))}
        machine["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{machine.get('PATH', '')}"
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=machine | _NO_CONFIG | variables,
            cwd=self.tmp,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


@asynccontextmanager
async def staged(tmp: Path, *, fresh_seconds: float = 600, upstream: str | None = None) -> AsyncIterator[Stage]:
    """Serve both origins, and the host before them. `upstream`: a real index as `defaults`, in place of the origin."""
    policy = Policy(channels=("acme", "defaults"), internal_names=("acme-*",))
    stage = Stage(tmp, Origin(tmp / "origin"), Origin(tmp / "internal"), policy)
    async with AsyncExitStack() as stack:
        default = await stack.enter_async_context(_serving(stage.origin.app))
        internal = await stack.enter_async_context(_serving(stage.internal.app))
        indexes = (
            make_channel("acme", f"{internal}/simple"),
            make_channel("defaults", upstream or f"{default}/simple"),
        )
        # A socket's address must be short.
        control = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp"))) / "c.sock"
        await stack.enter_async_context(_control_plane(stage, control))
        services = await stack.enter_async_context(
            running_services(control, tmp / "data", _SECRET, Channels(indexes), fresh_seconds=fresh_seconds)
        )
        address = await stack.enter_async_context(_serving(_behind_a_door(stage, create_app(services))))
        stage.address = f"{address.replace('//', f'//session:{KEY}@')}/pypi/simple/"
        yield stage


def _behind_a_door(stage: Stage, inner: web.Application) -> web.Application:
    """Do as the front door: ask who it is, and say so to the host."""
    expected = "Basic " + base64.b64encode(f"session:{KEY}".encode()).decode()

    @web.middleware
    async def pass_on(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != expected:
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        caller = caller_header(Caller("w-1", "alpha", stage.policy.hash, "p-1", "s-1", "client"))
        added = {HEADER: caller, SECRET_HEADER: _SECRET}
        answer: web.StreamResponse = await handler(request.clone(headers={**request.headers, **added}))
        return answer

    inner.middlewares.append(pass_on)
    return inner


@asynccontextmanager
async def _control_plane(stage: Stage, socket: Path) -> AsyncIterator[None]:
    async def policy(request: web.Request) -> web.Response:
        assert request.match_info["hash"] == stage.policy.hash
        return web.json_response({"policy": stage.policy.to_json()})

    async def deliveries(request: web.Request) -> web.Response:
        if stage.is_deaf:
            raise web.HTTPServiceUnavailable
        stage.told += (await request.json())["entries"]
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/_index/policies/{hash}", policy)
    app.router.add_post("/_index/deliveries", deliveries)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[str]:
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()
