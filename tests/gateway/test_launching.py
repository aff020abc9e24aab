"""Kernels as processes of this machine: started, found again by a later host, and ended with all that they started."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.kernels import SECONDS, Bench, client_of, ended, run
from studiolo.contract.errors import Conflict, Unavailable
from studiolo.gateway.starting.launching import LocalLauncher, LocalProcess
from studiolo.runtime import cgroups, processes
from studiolo.runtime.kernelcommands import GOODBYE, HERE
from studiolo.runtime.launch import read_json

# Ignores every polite signal, leaves its parent and its session: what a daemon in a notebook does.
STUBBORN = """
import os, signal, subprocess, sys
program = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; print(flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid)
"""


MODES = {"exec": None, "fork": 0, "spare": 1}


@pytest.fixture(scope="module")
def held(environment: Path) -> Iterator[dict[str, Path]]:
    """Run folders whose kernel servers are kept by somebody else than the launchers that tests use."""
    top = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    sockets, hosts = {mode: top / mode for mode in MODES}, []
    for mode in ("fork", "spare"):

        async def prepare(folder: Path, spares: int) -> None:
            launcher = LocalLauncher(top, folder, spares=spares)
            await launcher.prepare(environment)
            (server,) = folder.glob("*.sock")
            hosts.append(socket.socket(socket.AF_UNIX))
            hosts[-1].connect(str(server))
            hosts[-1].send(HERE)
            await launcher.aclose()

        asyncio.run(prepare(sockets[mode], MODES[mode] or 0))
    yield sockets
    for host in hosts:
        host.send(GOODBYE)
        # It ends its side when it has ended.
        host.settimeout(SECONDS)
        assert host.recv(1) == b""
        host.close()
    shutil.rmtree(top)


@pytest.fixture(params=list(MODES))
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def bench(environment: Path, held: dict[str, Path], mode: str) -> AsyncIterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    bench = Bench(folder, held[mode], environment, MODES[mode])
    yield bench
    await bench.close()
    shutil.rmtree(folder)


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(SECONDS):
        while processes.find_process(pid) is not None:
            await asyncio.sleep(0.02)


async def test_a_kernel_runs_in_its_folder_with_its_variables_alone(bench: Bench) -> None:
    process = await bench.start(bench.plan(marker="s-1.1"))
    code = "import os; print(os.getcwd(), os.environ['STUDIOLO_LAUNCH'], 'PYTEST_CURRENT_TEST' in os.environ)"
    assert await run(process, code) == f"{bench.folder} s-1.1 False\n"
    assert oct((bench.sockets / process.kernel_id.replace("-", "")[:12]).stat().st_mode)[-3:] == "700"


async def test_a_kernel_is_interrupted_and_keeps_its_variables(bench: Bench) -> None:
    process = await bench.start(bench.plan())
    await run(process, "kept = 1")
    begun = asyncio.Event()
    cell = asyncio.create_task(run(process, "import time\nprint('begun', flush=True)\ntime.sleep(60)", begun))
    await begun.wait()
    await process.interrupt()
    assert await cell == "begun\n"
    assert await run(process, "print(kept)") == "1\n"


async def test_a_stopped_kernel_tells_so_and_leaves_nothing(bench: Bench) -> None:
    process = await bench.start(bench.plan())
    stubborn = int(await run(process, STUBBORN))
    await process.stop(grace_seconds=5)
    exit = await ended(process)
    assert (exit.reason, exit.message) == ("stopped", "The kernel was stopped.")
    assert processes.find_process(stubborn) is None
    assert not (bench.sockets / process.kernel_id.replace("-", "")[:12]).exists()
    assert await bench.another().adopt(process.kernel_id) == exit


async def test_a_kernel_that_ignores_the_polite_signal_is_killed_after_its_grace(bench: Bench) -> None:
    process = await bench.start(bench.plan())
    await run(process, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    await process.stop(grace_seconds=0.2)
    exit = await ended(process)
    assert exit.reason == "stopped"
    assert "did not end by itself within 0.2 s" in exit.message


async def test_a_killed_kernel_and_one_that_ends_itself_are_told_apart(bench: Bench) -> None:
    killed, quitting = await bench.start(bench.plan()), await bench.start(bench.plan())
    os.kill(killed.pid, signal.SIGKILL)
    exit = await ended(killed)
    assert (exit.reason, exit.signal) == ("killed", signal.SIGKILL)
    client = client_of(quitting)
    client.shutdown()
    exit = await ended(quitting)
    client.stop_channels()
    assert (exit.reason, exit.code) == ("exited", 0)


async def test_a_killed_shim_takes_its_kernel_along_and_this_is_told(bench: Bench) -> None:
    process = await bench.start(bench.plan())
    await run(process, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    stubborn = int(await run(process, STUBBORN))
    os.kill(bench.shim(process), signal.SIGKILL)
    exit = await ended(process)
    assert exit.reason == "vanished"
    assert "looked after the kernel was killed" in exit.message
    await until_gone(process.pid)
    await until_gone(stubborn)


async def test_a_later_host_finds_kernels_alive_and_ended_and_knows_no_others(bench: Bench) -> None:
    process = await bench.start(bench.plan())
    await run(process, "kept = 1")
    later = bench.another()
    found = await later.adopt(process.kernel_id)
    assert isinstance(found, LocalProcess)
    assert (found.pid, found.connection) == (process.pid, process.connection)
    assert await run(found, "print(kept)") == "1\n"
    await found.stop(grace_seconds=5)
    assert await ended(found) == await ended(process) == await later.adopt(process.kernel_id)
    assert await later.adopt(str(uuid.uuid4())) is None


async def test_kernels_outlive_a_host_that_is_killed(bench: Bench) -> None:
    plan = bench.plan()
    program = f"""
import asyncio, os, signal
from pathlib import Path
from studiolo.gateway.base import KernelPlan
from studiolo.gateway.starting.launching import LocalLauncher
folder = Path({str(bench.folder)!r})
environment = {plan.environment and str(plan.environment)!r}
plan = KernelPlan({plan.kernel_id!r}, "w-1", "python3", {plan.argv!r}, environment and Path(environment), folder, {{}})
asyncio.run(LocalLauncher(folder / "kernels", Path({str(bench.sockets)!r}), spares={bench.spares or 0}).start(plan))
os.kill(os.getpid(), signal.SIGKILL)
"""
    host = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await host.wait() == -signal.SIGKILL
    found = await bench.launcher.adopt(plan.kernel_id)
    assert isinstance(found, LocalProcess)
    bench.started.append(found)
    assert await run(found, "print(6 * 7)") == "42\n"


async def test_an_ended_kernel_starts_anew_under_its_id_and_a_running_one_does_not(bench: Bench) -> None:
    plan = bench.plan()
    first = await bench.start(plan)
    with pytest.raises(Conflict) as refusal:
        await bench.launcher.start(plan)
    assert refusal.value.code == "kernel-exists"
    await first.stop(grace_seconds=5)
    await ended(first)
    second = await bench.start(plan)
    assert second.pid != first.pid
    assert await run(second, "print(6 * 7)") == "42\n"
    assert (await ended(first)).reason == "stopped"


@pytest.mark.parametrize("mode", ["exec"])
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("/nowhere/python", "-m", "ipykernel_launcher"), "No such file or directory: '/nowhere/python'"),
        ((sys.executable, "-c", "raise SystemExit('it has no modules')"), "it has no modules"),
    ],
)
async def test_a_kernel_that_does_not_start_says_why(bench: Bench, argv: tuple[str, ...], said: str) -> None:
    with pytest.raises(Unavailable) as refusal:
        await bench.launcher.start(bench.plan(argv=argv))
    assert refusal.value.code == "kernel-not-started"
    assert said in refusal.value.message


@pytest.mark.parametrize("mode", ["exec"])
async def test_a_folder_that_is_gone_is_named(bench: Bench) -> None:
    with pytest.raises(Unavailable, match="No such file or directory: '/nowhere'"):
        await bench.launcher.start(bench.plan(folder=Path("/nowhere")))


@pytest.mark.parametrize("mode", ["exec"])
async def test_a_kernel_of_another_language_runs(bench: Bench) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    argv = (sys.executable, "-m", "bash_kernel", "-f", "{connection_file}")
    process = await bench.start(bench.plan(argv=argv, spec_name="bash", language="bash"))
    assert await run(process, "echo $((6 * 7))") == "42\n"


@pytest.mark.parametrize("mode", ["exec", "fork"])
async def test_a_run_folder_with_a_long_path_has_tcp_sockets(bench: Bench) -> None:
    bench.launcher = LocalLauncher(bench.folder / "kernels", bench.folder / ("k" * 90))
    process = await bench.start(bench.plan())
    assert process.connection["transport"] == "tcp"
    assert await run(process, "print(6 * 7)") == "42\n"


@pytest.mark.parametrize("mode", ["exec", "spare"])
async def test_a_registered_kernel_does_not_start_for_a_session_that_has_ended(bench: Bench) -> None:
    register = bench.folder / "s-1.1" / "kernels" / "one.json"
    with pytest.raises(Unavailable, match=str(register.parent)):
        await bench.launcher.start(bench.plan(register=register))
    register.parent.mkdir(parents=True)
    process = await bench.start(bench.plan(register=register, path="work.ipynb"))
    record = read_json(register)
    assert record is not None
    assert (record["pid"], record["kernel_pid"], record["path"]) == (bench.shim(process), process.pid, "work.ipynb")
    await process.stop(grace_seconds=5)
    await ended(process)
    assert not register.exists()


async def test_the_kernels_own_output_is_kept_apart_from_cells(bench: Bench) -> None:
    process = await bench.start(bench.plan())
    await run(process, "import os; os.write(2, b'a'); print('cell'); import sys; print('own', file=sys.__stderr__)")
    assert any("own" in line for line in process.tail(5))


async def test_a_kernel_with_a_group_of_its_own_is_held_by_it(bench: Bench) -> None:
    places = await asyncio.to_thread(cgroups.find_places, f"test-{os.getpid()}")
    if "pids" not in places:
        pytest.skip("no control group can limit the number of processes here")
    groups = {controller: str(place) for controller, place in places.items()}
    process = await bench.start(bench.plan(groups=groups, group="k-1", process_limit=40))
    bomb = "import os\ntry:\n    while True: os.fork() or __import__('time').sleep(60)\nexcept OSError: print('held')"
    assert "held" in await run(process, bomb)
    assert len((places["pids"] / "k-1" / "cgroup.procs").read_text().split()) <= 40
    await process.stop(grace_seconds=1)
    await ended(process)
    assert not (places["pids"] / "k-1").exists()


async def until_at_rest(shim: int) -> None:
    async with asyncio.timeout(SECONDS):
        while "studiolo.runtime.vigil" not in await asyncio.to_thread(Path(f"/proc/{shim}/cmdline").read_text):
            await asyncio.sleep(0.02)
        # It hears signals from then on.
        while await asyncio.to_thread(Path(f"/proc/{shim}/comm").read_text) != "studiolo-shim\n":
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("mode", ["fork", "spare"])
async def test_a_shim_at_rest_still_tells_each_end_and_leaves_nothing(bench: Bench) -> None:
    stopped, killed, left = [await bench.start(bench.plan(variables={"SECRET": "7f3a"})) for _ in range(3)]
    stubborn = [int(await run(process, STUBBORN)) for process in (stopped, killed)]
    for process in (stopped, killed, left):
        await until_at_rest(bench.shim(process))
        assert "7f3a" not in Path(f"/proc/{bench.shim(process)}/cmdline").read_text()
    assert isinstance(await bench.another().adopt(stopped.kernel_id), LocalProcess)
    await stopped.stop(grace_seconds=5)
    assert ((await ended(stopped)).reason, (await ended(stopped)).message) == ("stopped", "The kernel was stopped.")
    os.kill(killed.pid, signal.SIGKILL)
    exit = await ended(killed)
    assert (exit.reason, exit.signal) == ("killed", signal.SIGKILL)
    os.kill(bench.shim(left), signal.SIGKILL)
    assert (await ended(left)).reason == "vanished"
    for pid in (*stubborn, left.pid):
        await until_gone(pid)


def test_the_shim_needs_neither_jupyter_nor_anything_else_of_ours() -> None:
    program = (
        "import studiolo.runtime.kernelshim, sys; print([n for n in sys.modules if n.startswith(('jupyter', 'zmq'))])"
    )
    seen = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
