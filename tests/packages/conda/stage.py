"""A channel on a port and the facade in front of it on another, as the index host mounts it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from studiolo.contract.errors import Denied, StudioloError
from studiolo.contract.problems import members_of, status_of
from studiolo.packages.conda.channels import Channels
from studiolo.packages.conda.facade import Asked, CondaFacade, Source
from studiolo.packages.conda.upstream import Upstream
from studiolo.packages.conda.viewing import Viewing
from studiolo.packages.policy.decisions import Decision, Subject
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import Rule, read_entry


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


@asynccontextmanager
async def staged(tmp: Path, *, fresh_seconds: float = 600) -> AsyncIterator[Stage]:
    """Serve `tmp/forge`."""
    stage = Stage(tmp / "forge", Policy(channels=("forge",)))
    stage.folder.mkdir(exist_ok=True)
    async with _serving(_channel_app(stage)) as channel:
        upstream = Upstream(tmp / "upstream", fresh_seconds=fresh_seconds)
        named = {"forge": f"{channel}/forge", "evil": f"{channel}/evil"}
        (tmp / "views").mkdir(exist_ok=True)
        facade = CondaFacade(
            Channels(named, environment={}), upstream, Viewing(tmp / "views", upstream), _keeper(tmp / "blobs")
        )
        async with _serving(_facade_app(stage, facade)) as stage.address:
            yield stage
        await upstream.close()


def _channel_app(stage: Stage) -> web.Application:
    @web.middleware
    async def note(request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:
        stage.upstream_asked.append(request.path)
        return await handler(request)

    app = web.Application(middlewares=[note])
    app.router.add_static("/forge", stage.folder)
    return app


def _facade_app(stage: Stage, facade: CondaFacade) -> web.Application:
    def refused(subject: Subject, decision: Decision) -> StudioloError:
        stage.refused.append(f"{subject.name} {decision.code}")
        return Denied("package-refused", decision.because)

    async def answer(request: web.Request) -> web.StreamResponse:
        stage.asked.append(request.path)
        asked = Asked(request, stage.policy, lambda subject: stage.delivered.append(str(subject.file)), refused)
        try:
            return await facade.answer(asked, *(request.match_info[part] for part in ("channel", "subdir", "file")))
        except StudioloError as exc:
            return web.json_response(members_of(exc), status=status_of(exc))

    app = web.Application()
    app.router.add_get("/conda/{channel}/{subdir}/{file:.+}", answer)
    return app


def _keeper(folder: Path):
    async def keep(sha256: str, source: Source) -> Path:
        folder.mkdir(exist_ok=True)
        async with source() as pieces:
            (folder / sha256).write_bytes(b"".join([piece async for piece in pieces]))
        return folder / sha256

    return keep


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
