"""Pytest fixtures: real local engines, with one fork server and one environment for all tests.

Import all of it into a conftest: `from studiolo.testing.fixtures import *`.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.base import Handle, Observation, Phase, WorkloadSpec
from studiolo.engines.local.engine import LocalEngine
from studiolo.testing.local import SessionClient, build_environment, run_fork_server
from studiolo.testing.waiting import PATIENCE_SECONDS, settle

SECRET = "secret-of-this-launch"  # noqa: S105
__all__ = ["bench", "environment", "fork_server_socket", "run_dir"]


@pytest.fixture(scope="session")
def environment(pytestconfig: pytest.Config) -> Path:
    """A workspace environment, built once per ipykernel version."""
    return build_environment(pytestconfig.cache.mkdir("environments") / f"ipykernel-{version('ipykernel')}")


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def fork_server_socket() -> Iterator[Path]:
    """Where a fork server listens that all tests share; those that kill one start their own."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    with run_fork_server(folder / "forkserver.sock"):
        yield folder / "forkserver.sock"
    shutil.rmtree(folder)


class LocalBench:
    """A local engine with its folders, and what tests need around it."""

    def __init__(
        self, engine: LocalEngine, *, data_dir: Path, sockets: Path, fork_server_socket: Path, environment: Path
    ) -> None:
        self.engine = engine
        self.data_dir = data_dir
        self.sockets = sockets
        self.fork_server_socket = fork_server_socket
        self.environment = environment
        self.workspace = data_dir / "workspaces" / "w"
        (self.workspace / "notebooks").mkdir(parents=True)

    def spec(self, **changes: Any) -> WorkloadSpec:
        """Return a spec with a fresh id."""
        workload_id = new_id(IdKind.SESSION)
        values: dict[str, Any] = {
            "workload_id": workload_id,
            "launch": 1,
            "folder": self.workspace,
            "environment": self.environment,
            "base_url": f"/s/{workload_id}/",
            "secret": SECRET,
        }
        return WorkloadSpec(**(values | changes))

    async def start_ready(self, **changes: Any) -> Handle:
        """Start a session and wait until it is ready."""
        handle = await self.engine.start(self.spec(**changes))
        seen = await self.settle(handle, Phase.READY, Phase.ENDED)
        assert seen.phase is Phase.READY, (seen, await self.engine.tail(handle, lines=40))
        return handle

    async def settle(self, handle: Handle, *phases: Phase, within: float = PATIENCE_SECONDS) -> Observation:
        """Observe until one of `phases` is seen."""
        return await settle(self.engine, handle, *phases, seconds=within)

    def files(self, handle: Handle) -> Path:
        """Return the launch's folder."""
        return self.data_dir / "sessions" / str(handle["workload_id"]) / str(handle["launch"])

    def client(self, handle: Handle) -> SessionClient:
        """Return a client of the session."""
        name = f"{handle['workload_id']}.{handle['launch']}"
        return SessionClient(self.sockets / f"{name}.sock", f"/s/{handle['workload_id']}/", SECRET)


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest, tmp_path: Path, run_dir: Path, fork_server_socket: Path, environment: Path
) -> AsyncIterator[LocalBench]:
    """A local engine that forks, or spawns where a test is parametrised so; leaves nothing running."""
    engine = LocalEngine(
        data_dir=tmp_path,
        session_sockets=run_dir / "s",
        fork_server_socket=fork_server_socket,
        start_method=getattr(request, "param", "fork"),
        stop_grace=timedelta(seconds=3),
    )
    bench = LocalBench(
        engine,
        data_dir=tmp_path,
        sockets=run_dir / "s",
        fork_server_socket=fork_server_socket,
        environment=environment,
    )
    yield bench
    await leave_nothing(bench)


async def nothing_wanted() -> set[tuple[str, int]]:
    """What a platform without sessions answers an engine that sweeps."""
    return set()


async def leave_nothing(bench: LocalBench) -> None:
    """End all that a bench has started."""
    async with asyncio.timeout(30):
        while await bench.engine.sweep(nothing_wanted):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await bench.engine.aclose()
