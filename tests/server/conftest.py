"""A control plane in memory: real services and SQLite, a scripted engine, no sockets."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from studiolo.contract.models import KeyCreate, PersonCreate
from studiolo.engines.base import Engine
from studiolo.kit.clock import ManualClock
from studiolo.kit.reconcile import running
from studiolo.server.app import create_app
from studiolo.server.principal import OPERATOR, Principal
from studiolo.server.schema import check_schema
from studiolo.server.services import Services, build
from studiolo.server.settings import Settings
from studiolo.testing.fake_engine import FakeEngine

ADDRESS = "http://localhost:28888"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", port=28888, run_dir=tmp_path / "run")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def engines(engine: FakeEngine) -> Mapping[str, Engine]:
    """All engines of the control plane; a file of tests may have several."""
    return {"local": engine}


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of this version with nothing in it; to make one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("schema")
    check_schema(Settings(data_dir=folder, run_dir=folder / "run"))
    return folder / "studiolo.db"


@pytest.fixture
async def services(
    settings: Settings, clock: ManualClock, engines: Mapping[str, Engine], empty_database: Path
) -> AsyncIterator[Services]:
    base = settings.data_dir / "environments" / "base-test"

    async def build_base(progress: Callable[[str], None]) -> Path:
        (base / "bin").mkdir(parents=True, exist_ok=True)
        (base / "pyvenv.cfg").touch()
        progress("a base without packages")
        return base

    settings.data_dir.mkdir()
    shutil.copy(empty_database, settings.data_dir)
    built = build(settings, engines=engines, clock=clock, build_base=build_base)
    async with running(built.environments.runner, built.builder.runner, built.session_reconciler.runner):
        yield built
    await built.backups.close()
    await built.clones.close()
    await built.scans.close()
    await built.environments.close()
    await built.session_reconciler.close()
    await built.db.close()


class People:
    """Makes people and clients that act for them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._app = create_app(services)

    async def add(self, name: str, *, is_admin: bool = False) -> Principal:
        form = PersonCreate(name=name, email=f"{name}@example.com", is_admin=is_admin)
        link = await self._services.accounts.create_person(OPERATOR, form)
        return Principal(link.person.id, name, name, is_admin, via="login", login_id="l-0")

    async def client(self, name: str, *, is_admin: bool = False) -> httpx.AsyncClient:
        """A client with a key of a new person."""
        who = await self.add(name, is_admin=is_admin)
        key = (await self._services.keys.create_key(who, KeyCreate(name="test"))).key
        return self.anonymous({"Authorization": f"Bearer {key}"})

    def anonymous(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self._app)
        return httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers=headers)


@pytest.fixture
def people(services: Services) -> People:
    return People(services)


@pytest.fixture
async def ana(people: People) -> AsyncIterator[httpx.AsyncClient]:
    async with await people.client("ana") as client:
        yield client


@pytest.fixture
async def leo(people: People) -> AsyncIterator[httpx.AsyncClient]:
    async with await people.client("leo") as client:
        yield client


@pytest.fixture
async def admin(people: People) -> AsyncIterator[httpx.AsyncClient]:
    async with await people.client("boss", is_admin=True) as client:
        yield client


async def eventually(check: Callable[[], Awaitable[bool]], within: timedelta = timedelta(seconds=60)) -> None:
    """Wait until `check` holds, looking again at each turn."""
    async with asyncio.timeout(within.total_seconds()):
        while not await check():
            await asyncio.sleep(0.01)
