"""What tests of accounts on this machine share: a data directory that accounts can pass, workspaces with numbers."""

import itertools
import os
import shutil
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studiolo.engines.base import Handle, WorkloadSpec
from studiolo.runtime.acting import LOWEST, hand_over
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.fixtures import LocalBench, fork_server_socket, run_dir
from studiolo.testing.local import build_environment

__all__ = ["fork_server_socket", "run_dir"]

# Of a platform that runs here, nobody has so many workspaces.
_numbers = itertools.count(LOWEST + 100_000_000)


class Workspace:
    """One with an account, and an environment of its own that finds in a base what it has not itself."""

    def __init__(self, data_dir: Path, base: Path) -> None:
        self.account = next(_numbers)
        self.folder = data_dir / "workspaces" / f"w-{self.account}"
        self.environment = data_dir / "environments" / self.folder.name
        self.home = data_dir / "people" / "p-1" / self.folder.name
        site = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
        for folder in (self.folder / "notebooks", self.home, self.environment / site, self.environment / "bin"):
            folder.mkdir(parents=True)
        (self.environment / "bin/python").symlink_to((base / "bin/python").readlink())
        shutil.copy(base / "pyvenv.cfg", self.environment)
        (self.environment / site / "base.pth").write_text(f"{base / site}\n")
        for folder in (self.folder, self.home, self.environment):
            folder.chmod(0o700)
            hand_over(folder, (self.account, self.account))


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """As a platform with accounts has its data directory."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    for name in ("", "workspaces", "environments", "people", "people/p-1", "sessions", "kernels"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def kernels_base() -> Iterator[Path]:
    """An environment with ipykernel, of this Python."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    folder.chmod(0o711)
    yield build_environment(folder / "base-accounts")
    shutil.rmtree(folder)


@pytest.fixture
def make_workspace(data_dir: Path, kernels_base: Path) -> Callable[[], Workspace]:
    """Make workspaces, each with another account."""
    return lambda: Workspace(data_dir, kernels_base)


def case_of(
    bench: LocalBench, make_workspace: Callable[[], Workspace], *, serves_platform: bool = False, **changes: str
) -> EngineCase:
    """A local engine as a case of the contract: each spec is another workspace's, with `changes` in it."""

    def make_spec() -> WorkloadSpec:
        workspace = make_workspace()
        return bench.spec(folder=workspace.folder, environment=workspace.environment, **changes)

    async def crash(handle: Handle) -> None:
        os.kill((read_json(LaunchFiles(bench.files(handle)).shim) or {})["pid"], signal.SIGKILL)

    async def run(handle: Handle, code: str) -> str:
        client = bench.client(handle)
        return await client.run(await client.start_kernel(), code)

    return EngineCase(
        engine=bench.engine,
        make_spec=make_spec,
        unknown_handle=lambda: {"workload_id": bench.spec().workload_id, "launch": 1},
        crash=crash,
        run=run,
        data_dir=bench.data_dir,
        sockets=(bench.fork_server_socket,),
        serves_platform=serves_platform,
    )
