"""A channel on a port and the facade in front of it on another, as the index host mounts it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from studiolo.packages.conda.facade import mounted
from studiolo.packages.index.app import create_app
from studiolo.packages.index.asking import Services
from studiolo.packages.index.blobs import Blobs
from studiolo.packages.index.callers import HEADER, SECRET_HEADER, Caller, caller_header
from studiolo.packages.index.store import Store
from studiolo.packages.policy.decisions import Decision, Subject
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import Rule, read_entry

_SECRET = "a secret of this test"


@dataclass
class Stage:
    """`folder`: of the channel `forge`; `policy` may be exchanged; what was asked, delivered and refused is noted."""

    folder: Path
    policy: Policy
    address: str = ""
    asked: list[str] = field(default_factory=list)
    upstream_asked: list[str] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def forge(self) -> str:
        """The address of the channel as sessions see it."""
        return f"{self.address}/conda/forge"


def rules(*entries: str) -> tuple[Rule, ...]:
    """Return rules as a policy holds them."""
    return tuple(read_entry(entry, "a test") for entry in entries)


class _Policies:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def get(self, named: str) -> Policy:
        return self._stage.policy


class _Reports:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def deliver(self, caller: Caller, subject: Subject, *, sha256: str, fingerprint: str | None) -> None:
        assert sha256 == subject.sha256
        self._stage.delivered.append(str(subject.file))

    def refuse(self, caller: Caller, subject: Subject, decision: Decision, *, enforced: bool = True) -> None:
        self._stage.refused.append(f"{subject.name} {decision.code}")


@asynccontextmanager
async def staged(tmp: Path, *, fresh_seconds: float = 600) -> AsyncIterator[Stage]:
    """Serve `tmp/forge` as a channel, and the index host's application without a front door before it."""
    stage = Stage(tmp / "forge", Policy(channels=("forge",)))
    stage.folder.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(_serving(_channel_app(stage)))
        named = {"forge": f"{channel}/forge", "evil": f"{channel}/evil"}
        store = Store(tmp / "index.db")
        stack.callback(store.close)
        blobs = Blobs(tmp / "blobs")
        stack.push_async_callback(blobs.close)
        conda = await stack.enter_async_context(mounted(tmp, named, blobs, store, fresh_seconds=fresh_seconds))
        parts = {"policies": _Policies(stage), "reports": _Reports(stage), "blobs": blobs, "store": store}
        unused = dict.fromkeys(("owners", "pages", "metadata"))
        app = create_app(Services(secret=_SECRET, conda=conda, **parts, **unused))
        stage.address = await stack.enter_async_context(_serving(_behind_a_door(stage, app)))
        yield stage


def _channel_app(stage: Stage) -> web.Application:
    @web.middleware
    async def note(request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:
        stage.upstream_asked.append(request.path)
        return await handler(request)

    app = web.Application(middlewares=[note])
    app.router.add_static("/forge", stage.folder)
    return app


def _behind_a_door(stage: Stage, inner: web.Application) -> web.Application:
    caller = caller_header(Caller("w1", "alpha", "hash", "p1", "s1", "client"))

    @web.middleware
    async def pass_on(request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:
        stage.asked.append(request.path)
        return await handler(request.clone(headers={**request.headers, HEADER: caller, SECRET_HEADER: _SECRET}))

    inner.middlewares.append(pass_on)
    return inner


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[str]:
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


def names(records: Sequence) -> dict[str, str]:
    """Return name → version of solved records."""
    return {record.name.source: str(record.version) for record in records}
