"""A batch engine on the Slurm that scripts/engines/slurm.sh has set up, and what tests need around it."""

import asyncio
import os
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.base import Handle, Observation, Phase, WorkloadSpec
from studiolo.engines.plugins import EngineGround
from studiolo.engines.slurm.engine import BatchEngine
from studiolo.engines.slurm.plugin import PLUGIN
from studiolo.engines.slurm.settings import BatchSettings
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.fixtures import SECRET, nothing_wanted
from studiolo.testing.local import SessionClient
from studiolo.testing.waiting import PATIENCE_SECONDS, settle

_CALL_SECONDS = 20


@pytest.fixture(scope="session")
def slurm() -> Path:
    """Slurm's configuration file; without one that answers the test is skipped, and fails in CI."""
    said = "no SLURM_CONF" if "SLURM_CONF" not in os.environ else ""
    if not said:
        said = "" if "is UP" in _ping() else "Slurm does not answer"
    if said:
        end = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        end(f'{said}: run scripts/engines/slurm.sh up; eval "$(scripts/engines/slurm.sh env)"')
    return Path(os.environ["SLURM_CONF"])


@dataclass
class SlurmBench:
    """A batch engine with its folders. `settings` changes what it is built with."""

    data_dir: Path
    environment: Path
    settings: dict[str, Any] = field(default_factory=dict)
    built: list[BatchEngine] = field(default_factory=list)
    instance: str = field(default_factory=lambda: secrets.token_hex(4))

    def build(self, **changes: Any) -> BatchEngine:
        """Return an engine as the platform builds it, also a second one, as after a restart."""
        ground = EngineGround(
            data_dir=self.data_dir,
            sockets=self.data_dir / "sockets",
            instance=self.instance,
            address="http://localhost",
            stop_grace=3.0,
        )
        # Both nodes are this machine, which has no name for them.
        values = {"listen": "127.0.0.1", "node_address": "127.0.0.1", "poll_seconds": 1.0, "time_limit": "10m"}
        engine = PLUGIN.build(ground, BatchSettings.model_validate(values | self.settings | changes))
        assert isinstance(engine, BatchEngine)
        self.built.append(engine)
        return engine

    @property
    def engine(self) -> BatchEngine:
        """The engine."""
        return self.built[0] if self.built else self.build()

    def spec(self, **changes: Any) -> WorkloadSpec:
        """Return a spec with a fresh id."""
        workload_id = new_id(IdKind.SESSION)
        values: dict[str, Any] = {
            "workload_id": workload_id,
            "launch": 1,
            "folder": self.data_dir / "w",
            "environment": self.environment,
            "base_url": f"/s/{workload_id}/",
            "secret": SECRET,
        }
        return WorkloadSpec(**(values | changes))

    async def settle(self, handle: Handle, *phases: Phase) -> Observation:
        """Observe until one of `phases` is seen."""
        return await settle(self.engine, handle, *phases)

    async def start_ready(self, **changes: Any) -> tuple[Handle, Observation]:
        """Start a session and wait until it is ready."""
        handle = await self.engine.start(self.spec(**changes))
        seen = await self.settle(handle, Phase.READY, Phase.ENDED)
        assert seen.phase is Phase.READY, (seen, await self.engine.tail(handle, lines=40))
        return handle, seen

    def files(self, handle: Handle) -> LaunchFiles:
        """Return the launch's files."""
        return LaunchFiles(self.data_dir / "engines" / "slurm" / str(handle["workload_id"]) / str(handle["launch"]))

    def client(self, handle: Handle, upstream: str) -> SessionClient:
        """Return a client of the session."""
        return SessionClient.at(upstream, f"/s/{handle['workload_id']}/", SECRET)

    @staticmethod
    def call(*argv: str) -> str:
        """Run one of Slurm's commands and return what it prints."""
        return subprocess.run(argv, capture_output=True, text=True, timeout=_CALL_SECONDS, check=True).stdout

    async def run(self, handle: Handle, code: str) -> str:
        """Run code in a kernel of a ready session."""
        seen = await self.settle(handle, Phase.READY)
        client = self.client(handle, seen.upstream or "")
        return await client.run(await client.start_kernel(), code)


@dataclass(frozen=True)
class Controller:
    """The daemon that knows all jobs."""

    configuration: Path

    async def kill(self) -> None:
        """End it as a crash would, once it has saved the jobs there are: what it has not saved, it forgets itself."""
        known, changed_at = self._path("StateSaveLocation") / "job_state", time.time()
        for job in SlurmBench.call("squeue", "-h", "--me", "-t", "running", "-o", "%i").split():
            SlurmBench.call("scontrol", "update", f"JobId={job}", "Comment=to-be-saved")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while known.stat().st_mtime < changed_at:
                await asyncio.sleep(0.1)
        os.kill(int(self._path("SlurmctldPidFile").read_text()), signal.SIGKILL)

    def _path(self, name: str) -> Path:
        lines = self.configuration.read_text().splitlines()
        return next(Path(line.partition("=")[2]) for line in lines if line.startswith(f"{name}="))

    async def start(self) -> None:
        """Start it again, as it was."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        subprocess.run(["slurmctld"], check=True, timeout=_CALL_SECONDS, **quiet)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "is UP" not in _ping():
                await asyncio.sleep(0.1)


def _ping() -> str:
    words = ["scontrol", "ping"]
    return subprocess.run(words, capture_output=True, text=True, timeout=_CALL_SECONDS, check=False).stdout


@pytest.fixture
def controller(slurm: Path) -> Controller:
    """Slurm's controller."""
    return Controller(slurm)


@pytest.fixture
async def batch(tmp_path: Path, environment: Path, slurm: Path) -> AsyncIterator[SlurmBench]:
    """A batch engine on the real Slurm; leaves no job behind."""
    (tmp_path / "w" / "notebooks").mkdir(parents=True)
    bench = SlurmBench(tmp_path, environment)
    yield bench
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await bench.engine.sweep(nothing_wanted):
            await asyncio.sleep(0.1)
    for engine in bench.built:
        await engine.aclose()


@pytest.fixture
async def full_cluster(batch: SlurmBench) -> AsyncIterator[None]:
    """All nodes in use by jobs that are no sessions."""
    nodes = batch.call("sinfo", "-h", "-N", "-p", "interactive", "-o", "%N").split()
    words = (
        "sbatch",
        "--parsable",
        "--job-name=filler",
        "--time=30",
        "--exclusive",
        f"--output={batch.data_dir}/filler",
    )
    jobs = {batch.call(*words, "--wrap=exec sleep 600").strip() for _ in nodes}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while set(batch.call("squeue", "-h", "-t", "running", "--name=filler", "-o", "%i").split()) != jobs:
            await asyncio.sleep(0.1)
    yield
    batch.call("scancel", *jobs)


@pytest.fixture
def case(batch: SlurmBench, controller: Controller) -> EngineCase:
    """The batch engine as a case of the contract."""

    async def crash(handle: Handle) -> None:
        known = read_json(batch.files(handle).shim)
        assert known is not None
        # The node is this machine.
        os.kill(known["pid"], signal.SIGKILL)

    async def break_engine() -> None:
        await controller.kill()
        # Until then what was listed before still counts.
        await batch.settle({"workload_id": "s-none", "launch": 1, "job": "999999"}, Phase.UNKNOWN)

    async def describe(handle: Handle) -> str:
        shown = batch.call("scontrol", "show", "job", "--details", handle["job"])
        return shown + batch.call("scontrol", "write", "batch_script", handle["job"], "-")

    return EngineCase(
        engine=batch.engine,
        make_spec=batch.spec,
        unknown_handle=lambda: {"workload_id": batch.spec().workload_id, "launch": 1, "job": "999999"},
        crash=crash,
        run=batch.run,
        patience_seconds=60.0,
        verb_seconds=30.0,
        notice_seconds=30.0,
        make_waiting_spec=lambda: batch.spec(options={"partition": "waits"}),
        break_engine=break_engine,
        mend_engine=controller.start,
        describe_object=describe,
        whole_processors=True,
        data_dir=batch.data_dir,
    )
