"""What the local engine claims about isolation with accounts (L1), measured from inside."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from engines.accounts.conftest import Workspace, case_of
from engines.everybodys_python import only_with_it
from studiolo.contract.errors import Conflict
from studiolo.engines.local.engine import LocalEngine
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.engine_contract.isolation import *  # noqa: F403
from studiolo.testing.fixtures import LocalBench, leave_nothing

pytestmark = only_with_it()


@pytest.fixture
async def bench(
    data_dir: Path, run_dir: Path, fork_server_socket: Path, make_workspace: Callable[[], Workspace]
) -> AsyncIterator[LocalBench]:
    """A local engine with accounts, that forks."""
    engine = LocalEngine(
        data_dir=data_dir,
        session_sockets=run_dir / "s",
        fork_server_socket=fork_server_socket,
        start_method="fork",
        stop_grace=timedelta(seconds=3),
        accounts=True,
    )
    made = LocalBench(
        engine, data_dir=data_dir, sockets=run_dir / "s", fork_server_socket=fork_server_socket, environment=data_dir
    )
    yield made
    await leave_nothing(made)


@pytest.fixture
def case(bench: LocalBench, make_workspace: Callable[[], Workspace]) -> EngineCase:
    """The engine as a case of the contract: each spec is another workspace's."""
    return case_of(bench, make_workspace)


async def test_a_workspace_without_an_account_is_not_run(case: EngineCase, bench: LocalBench) -> None:
    with pytest.raises(Conflict) as refused:
        await case.engine.start(bench.spec())
    assert refused.value.code == "workspace-has-no-account"


async def test_a_session_installs_into_its_environment_and_not_into_its_base(
    bench: LocalBench, make_workspace: Callable[[], Workspace], kernels_base: Path
) -> None:
    workspace = make_workspace()
    handle = await bench.start_ready(folder=workspace.folder, environment=workspace.environment)
    client = bench.client(handle)
    printed = await client.run(await client.start_kernel(), _CHANGE_ENVIRONMENT.format(base=str(kernels_base)))
    assert printed.split() == ["made", "PermissionError"]
    await bench.engine.stop(handle, grace=timedelta(seconds=3))


_CHANGE_ENVIRONMENT = """
import pathlib, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
(site / "mine.py").write_text("")
print("made")
try:
    (pathlib.Path({base!r}) / "mine.py").write_text("")
except OSError as exc:
    print(type(exc).__name__)
"""
