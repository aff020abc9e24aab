"""What the local engine claims about isolation with enclosures (L3), measured from inside; and what is found there."""

import asyncio
import json
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engines.accounts.conftest import Workspace, case_of
from engines.everybodys_python import only_with_it, packages_folders
from gateway.kernels import Bench as Kernels
from gateway.kernels import ended, run
from studiolo.engines.local.enclosing import Enclosing
from studiolo.engines.local.engine import LocalEngine
from studiolo.gateway.base import Caller, Right, Wish
from studiolo.gateway.starting.launches import read_launch, session_plan
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.engine_contract.isolation import *  # noqa: F403
from studiolo.testing.fixtures import LocalBench, leave_nothing
from studiolo.testing.ports import free_port

pytestmark = only_with_it()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@pytest.fixture
async def door(run_dir: Path) -> AsyncIterator[Path]:
    """A socket at which something answers as the platform would."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_ANSWER)
        await writer.drain()
        writer.close()

    (run_dir / "w").mkdir()
    async with await asyncio.start_unix_server(answer, run_dir / "w/door.sock"):
        yield run_dir / "w/door.sock"


@pytest.fixture
def address() -> str:
    """The platform's own, by which nothing of this machine answers."""
    return f"http://platform.example:{free_port()}"


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest,
    data_dir: Path,
    run_dir: Path,
    fork_server_socket: Path,
    kernels_base: Path,
    door: Path,
    address: str,
) -> AsyncIterator[LocalBench]:
    """A local engine with enclosures, that forks, or spawns where a test is parametrised so."""
    engine = LocalEngine(
        data_dir=data_dir,
        session_sockets=run_dir / "s",
        fork_server_socket=fork_server_socket,
        start_method=getattr(request, "param", "fork"),
        stop_grace=timedelta(seconds=3),
        accounts=True,
        enclosing=Enclosing(data_dir, run_dir, address, door, shown=(kernels_base, *packages_folders())),
    )
    made = LocalBench(
        engine, data_dir=data_dir, sockets=run_dir / "s", fork_server_socket=fork_server_socket, environment=data_dir
    )
    yield made
    await leave_nothing(made)


@pytest.fixture
def case(bench: LocalBench, make_workspace: Callable[[], Workspace], address: str) -> EngineCase:
    """The engine as a case of the contract: each spec is another workspace's."""
    return case_of(bench, make_workspace, serves_platform=True, platform_url=address)


async def _run(bench: LocalBench, workspace: Workspace, code: str, **changes: object) -> str:
    handle = await bench.start_ready(folder=workspace.folder, environment=workspace.environment, **changes)
    client = bench.client(handle)
    printed = await client.run(await client.start_kernel(), code)
    await bench.engine.stop(handle, grace=timedelta(seconds=3))
    return printed


async def test_enclosures_are_claimed_as_l3_where_limits_hold(bench: LocalBench) -> None:
    assert bench.engine.isolation == "L3"


async def test_datasets_are_read_and_not_written(
    bench: LocalBench, make_workspace: Callable[[], Workspace], tmp_path: Path
) -> None:
    workspace, dataset = make_workspace(), Path(f"{bench.data_dir}-dataset")
    dataset.mkdir(mode=0o777)
    dataset.chmod(0o777)
    try:
        (dataset / "numbers").write_text("1 2 3")
        printed = await _run(bench, workspace, _USE_DATASET.format(folder=str(dataset)), datasets={"n": dataset})
        assert printed.splitlines() == ["1 2 3", "Read-only file system"]
    finally:
        for file in dataset.iterdir():
            file.unlink()
        dataset.rmdir()


async def test_scratch_is_its_own_and_what_else_lies_there_is_not_seen(
    bench: LocalBench, make_workspace: Callable[[], Workspace], run_dir: Path
) -> None:
    told = json.loads(await _run(bench, make_workspace(), _TELL.format(run_dir=str(run_dir))))
    made = Path("/tmp", told["made"])
    assert not made.exists()
    assert bench.data_dir.name in told["tmp"]
    ours = {told["made"], run_dir.name}
    assert set(told["tmp"]) <= {part for path in told["shown"] for part in Path(path).parts} | ours
    # Where root mounts what kernels need, nobody puts a link in its way.
    assert (told["run_dir"], told["renamed"]) == ([], "PermissionError")
    assert set(told["data"]) <= {"workspaces", "environments", "people", "sessions", "tools", "datasets"}
    assert told["workspaces"] == 1
    assert told["environments"] == "PermissionError"


@pytest.mark.parametrize("bench", ["fork", "spawn"], indirect=True)
async def test_what_listens_on_the_machine_is_not_reached_and_the_platform_is(
    bench: LocalBench, make_workspace: Callable[[], Workspace], address: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        printed = await _run(bench, make_workspace(), _ASK.format(port=port), platform_url=address)
    assert printed.splitlines() == ["refused", "ok"]


async def test_an_environment_that_is_exchanged_is_found_by_kernels_that_run(
    bench: LocalBench, make_workspace: Callable[[], Workspace]
) -> None:
    workspace, other = make_workspace(), make_workspace()
    handle = await bench.start_ready(folder=workspace.folder, environment=workspace.environment)
    client = bench.client(handle)
    kernel = await client.start_kernel()
    await client.run(kernel, "import pathlib, sys")
    other.environment.rename(bench.data_dir / "environments/fresh")
    (bench.data_dir / "environments/fresh/mark").touch()
    os.chown(bench.data_dir / "environments/fresh", workspace.account, workspace.account)
    workspace.environment.rename(other.environment)
    (bench.data_dir / "environments/fresh").rename(workspace.environment)
    assert await client.run(kernel, f"print(pathlib.Path({str(workspace.environment)!r}, 'mark').exists())") == "True\n"
    await bench.engine.stop(handle, grace=timedelta(seconds=3))


@pytest.mark.parametrize("forks", [True, False])
async def test_a_kernel_that_the_host_starts_in_a_session_lives_in_the_sessions_enclosure(
    bench: LocalBench, make_workspace: Callable[[], Workspace], address: str, *, forks: bool
) -> None:
    workspace = make_workspace()
    handle = await bench.start_ready(folder=workspace.folder, environment=workspace.environment, platform_url=address)
    scope = f"{handle['workload_id']}.{handle['launch']}"
    caller = Caller(handle["workload_id"], frozenset(Right), "p-1", "ana", "k-1")
    plan = session_plan(
        read_launch(bench.sockets.parent, scope), caller, Wish("python3", None, kernel_id=str(uuid.uuid4()))
    )
    kernels = Kernels(bench.data_dir, bench.sockets.parent / "k", Path("/"), 0 if forks else None)
    process = await kernels.start(plan if forks else replace(plan, environment=None))
    client = bench.client(handle)
    theirs = json.loads(await client.run(await client.start_kernel(), _TELL_NAMESPACES))
    told = json.loads(await run(process, _TELL_NAMESPACES))
    assert (told["net"], told["ipc"]) == (theirs["net"], theirs["ipc"])
    assert (told["uid"], told["answer"]) == (workspace.account, "ok")
    # They share what lies there.
    assert theirs["made"] in told["tmp"]
    await bench.engine.stop(handle, grace=timedelta(seconds=3))
    await ended(process)
    await kernels.close()


_TELL_NAMESPACES = """
import json, os, pathlib, tempfile, urllib.request
made = pathlib.Path(tempfile.mkdtemp()).name
answer = urllib.request.urlopen(os.environ["STUDIOLO_URL"], timeout=30).read().decode()
print(json.dumps(dict(uid=os.getuid(), answer=answer, made=made, tmp=os.listdir("/tmp"),
                      **{name: os.readlink("/proc/self/ns/" + name) for name in ("net", "ipc")})))
"""

_USE_DATASET = """
import pathlib
print((pathlib.Path({folder!r}) / "numbers").read_text())
try:
    (pathlib.Path({folder!r}) / "mine").write_text("")
except OSError as exc:
    print(exc.strerror)
"""

_TELL = """
import json, os, pathlib, sys, tempfile
made = pathlib.Path(tempfile.mkdtemp()).name
data = pathlib.Path(sys.prefix).parents[1]
def listed(path):
    try:
        return os.listdir(path)
    except OSError as exc:
        return type(exc).__name__
try:
    os.rename({run_dir!r}, {run_dir!r} + "-mine")
    renamed = "renamed"
except OSError as exc:
    renamed = type(exc).__name__
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
print(json.dumps(dict(made=made, tmp=os.listdir("/tmp"), data=listed(data), workspaces=len(listed(data / "workspaces")),
                      environments=listed(data / "environments"), shown=mounts, run_dir=listed({run_dir!r}),
                      renamed=renamed)))
"""

_ASK = """
import os, socket, urllib.request
try:
    socket.create_connection(("127.0.0.1", {port}), 2)
    print("reached")
except ConnectionRefusedError:
    print("refused")
print(urllib.request.urlopen(os.environ["STUDIOLO_URL"], timeout=30).read().decode())
"""
