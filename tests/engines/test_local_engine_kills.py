"""Whatever is killed at any instant: sessions go on or end with a true reason, and nothing is orphaned."""

import asyncio
import contextlib
import os
import signal
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Handle, Phase
from studiolo.engines.local.engine import LocalEngine
from studiolo.runtime import processes
from studiolo.runtime.launch import MARKER, LaunchFiles, read_json, write_json
from studiolo.testing.fixtures import LocalBench, nothing_wanted
from studiolo.testing.local import execute, run_fork_server

# Ignores every polite signal, leaves its parent and its session: what a daemon in a notebook does.
STUBBORN = """
import os, signal, subprocess, sys
program = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; print(flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid)
"""


def _known(bench: LocalBench, handle: Handle) -> dict[str, int]:
    known = read_json(LaunchFiles(bench.files(handle)).shim)
    assert known is not None
    return known


def _marked(handle: Handle) -> list[processes.Process]:
    return processes.list_marked(MARKER, f"{handle['workload_id']}.{handle['launch']}")


async def _until_gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while processes.find_process(pid) is not None:
            await asyncio.sleep(0.02)


async def test_sessions_and_their_kernels_outlive_the_fork_server(bench: LocalBench, run_dir: Path) -> None:
    path, go = run_dir / "own.sock", run_dir / "go"
    engine = LocalEngine(
        data_dir=bench.data_dir, session_sockets=bench.sockets, fork_server_socket=path, start_method="fork"
    )
    bench.engine = engine
    with run_fork_server(path) as fork_server:
        handle = await bench.start_ready()
        client = bench.client(handle)
        kernel_id = await client.start_kernel()
        async with client.channels(kernel_id) as connection:
            waiting = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('done')"
            cell = asyncio.create_task(execute(connection, waiting))
            fork_server.kill()
            fork_server.wait()
            go.touch()
            assert await cell == "done\n"
    assert (await bench.engine.observe(handle)).phase is Phase.READY
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"


async def test_without_a_fork_server_a_launch_is_refused_with_what_to_do(bench: LocalBench, run_dir: Path) -> None:
    engine = LocalEngine(
        data_dir=bench.data_dir,
        session_sockets=bench.sockets,
        fork_server_socket=run_dir / "nobody.sock",
        start_method="fork",
    )
    with pytest.raises(Unavailable) as refusal:
        await engine.start(bench.spec())
    assert refusal.value.code == "engine-unavailable"
    assert "studiolo doctor" in (refusal.value.hint or "")


async def test_without_a_fork_server_auto_spawns_this_launch_and_says_so(
    bench: LocalBench, run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench.engine = LocalEngine(
        data_dir=bench.data_dir, session_sockets=bench.sockets, fork_server_socket=run_dir / "nobody.sock"
    )
    handle = await bench.start_ready()
    assert "fork server does not answer" in caplog.text
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    await bench.settle(handle, Phase.ENDED)


async def _kill_server(bench: LocalBench, handle: Handle, number: signal.Signals = signal.SIGKILL) -> None:
    """Kill the session's server, and wait until it answers again or the session has ended."""
    before = _known(bench, handle)["session_pid"]
    os.kill(before, number)
    client = bench.client(handle)
    async with asyncio.timeout(30), client.http() as http:
        while (await bench.engine.observe(handle)).phase is Phase.READY:
            with contextlib.suppress(httpx.TransportError):
                reply = await http.get("api/status")
                if reply.is_success and _known(bench, handle)["session_pid"] != before:
                    return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("bench", ["fork", "spawn"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_killed_server_is_started_anew_and_what_it_had_started_ends(
    bench: LocalBench, number: signal.Signals
) -> None:
    handle = await bench.start_ready()
    client = bench.client(handle)
    stubborn = int(await client.run(await client.start_kernel(), STUBBORN))
    await _kill_server(bench, handle, number)
    assert (await bench.engine.observe(handle)).phase is Phase.READY
    assert await client.run(await client.start_kernel(), "print(6 * 7)") == "42\n"
    assert processes.find_process(stubborn) is None
    (restart,) = (read_json(LaunchFiles(bench.files(handle)).restarts) or {})["restarts"]
    assert ("SIGKILL" if number == signal.SIGKILL else "SIGTERM") in restart["message"]


async def test_a_server_that_is_killed_again_and_again_ends_its_session_with_the_reason(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    for _ in range(3):
        await _kill_server(bench, handle)
    os.kill(_known(bench, handle)["session_pid"], signal.SIGKILL)
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "killed"
    assert seen.exit.signal == signal.SIGKILL
    assert "killed from outside" in seen.exit.message
    assert not _marked(handle)


async def test_shutting_down_from_inside_is_told_as_such(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    async with bench.client(handle).http() as http:
        await http.post("api/shutdown")
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert (seen.exit.reason, seen.exit.code) == ("server-exited", 0)
    assert seen.exit.message == "JupyterLab was shut down from inside the session."


@pytest.mark.parametrize("bench", ["fork", "spawn"], indirect=True)
async def test_a_killed_shim_is_reported_truthfully_and_nothing_is_orphaned(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    client = bench.client(handle)
    stubborn = int(await client.run(await client.start_kernel(), STUBBORN))
    known = _known(bench, handle)
    os.kill(known["pid"], signal.SIGKILL)
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "vanished"
    assert "was killed" in seen.exit.message
    assert await bench.engine.sweep(nothing_wanted) == []
    for pid in (known["session_pid"], stubborn):
        await _until_gone(pid)
    assert not _marked(handle)
    assert await bench.engine.observe(handle) == seen


async def test_a_sweep_alone_clears_up_after_a_killed_shim(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    client = bench.client(handle)
    stubborn = int(await client.run(await client.start_kernel(), STUBBORN))
    os.kill(_known(bench, handle)["pid"], signal.SIGKILL)
    await _until_gone(_known(bench, handle)["pid"])
    assert await bench.engine.sweep(nothing_wanted) == [f"{handle['workload_id']}.1"]
    await _until_gone(stubborn)


async def test_a_stop_ends_daemons_that_kernels_left_behind(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    client = bench.client(handle)
    kernel_id = await client.start_kernel()
    stubborn = int(await client.run(kernel_id, STUBBORN))
    async with client.http() as http:
        await http.delete(f"api/kernels/{kernel_id}")
    assert processes.find_process(stubborn) is not None
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"
    assert processes.find_process(stubborn) is None


async def test_a_server_that_does_not_stop_is_killed_after_its_grace(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    os.kill(_known(bench, handle)["session_pid"], signal.SIGSTOP)
    await bench.engine.stop(handle, grace=timedelta(seconds=0.3))
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"
    assert "did not end by itself within 0.3 s" in seen.exit.message


async def test_a_second_stop_may_shorten_the_grace_of_the_first(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    os.kill(_known(bench, handle)["session_pid"], signal.SIGSTOP)
    await bench.engine.stop(handle, grace=timedelta(seconds=60))
    await bench.engine.stop(handle, grace=timedelta(seconds=0.2))
    await bench.engine.stop(handle, grace=timedelta(seconds=60))
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"


async def test_a_stop_crossing_the_start_ends_the_session(bench: LocalBench) -> None:
    handle = await bench.engine.start(bench.spec())
    await bench.engine.stop(handle, grace=timedelta(seconds=20))
    seen = await bench.settle(handle, Phase.ENDED, within=5)
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"


async def test_a_shim_that_hangs_is_killed_when_its_stop_is_long_overdue(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    known = _known(bench, handle)
    os.kill(known["pid"], signal.SIGSTOP)
    write_json(LaunchFiles(bench.files(handle)).stop, {"grace_seconds": 1, "at": 0})
    await bench.engine.stop(handle, grace=timedelta(seconds=1))
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"
    for pid in (known["pid"], known["session_pid"]):
        await _until_gone(pid)


async def test_a_session_of_an_earlier_boot_has_vanished_and_says_why(bench: LocalBench) -> None:
    spec = bench.spec()
    handle = {"workload_id": spec.workload_id, "launch": 1}
    files = LaunchFiles(bench.files(handle))
    files.folder.mkdir(parents=True)
    files.lock.touch()
    # This very process has the id by now; it must not be taken for the session.
    me = {"pid": os.getpid(), "session_pid": os.getpid(), "start_time": "1", "session_start_time": "1"}
    write_json(files.shim, me | {"boot_id": "another boot"})
    seen = await bench.engine.observe(handle)
    assert seen.exit is not None
    assert (seen.exit.reason, seen.exit.message) == (
        "vanished",
        "The machine was restarted while the session ran.",
    )


async def test_another_control_plane_watches_a_session_it_did_not_start(bench: LocalBench) -> None:
    handle = await bench.engine.start(bench.spec())
    later = LocalEngine(data_dir=bench.data_dir, session_sockets=bench.sockets, fork_server_socket=Path("/nonexistent"))
    phases = []
    async with asyncio.timeout(20):
        async for _ in later.watch(handle):
            phases.append((await later.observe(handle)).phase)
            if phases[-1] is Phase.READY:
                await later.stop(handle, grace=timedelta(seconds=5))
    assert phases == [Phase.READY, Phase.ENDED]


async def test_an_unreadable_sessions_folder_is_unknown_not_ended(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    sessions, moved = bench.data_dir / "sessions", bench.data_dir / "moved"
    sessions.rename(moved)
    try:
        assert (await bench.engine.observe(handle)).phase is Phase.UNKNOWN
    finally:
        moved.rename(sessions)
    assert (await bench.engine.observe(handle)).phase is Phase.READY


async def test_a_session_never_leaves_a_socket_or_its_key_behind(bench: LocalBench) -> None:
    handle = await bench.start_ready(api_key="key", platform_url="http://127.0.0.1:9")
    await bench.client(handle).start_kernel()
    assert list(bench.sockets.iterdir())
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    await bench.settle(handle, Phase.ENDED)
    assert list(bench.sockets.iterdir()) == []


async def test_a_vanished_session_leaves_no_key_behind(bench: LocalBench) -> None:
    handle = await bench.start_ready(api_key="key", platform_url="http://127.0.0.1:9")
    os.kill(_known(bench, handle)["pid"], signal.SIGKILL)
    await bench.settle(handle, Phase.ENDED)
    assert list(bench.sockets.iterdir()) == []


async def test_a_start_that_is_cancelled_is_found_by_the_next(bench: LocalBench) -> None:
    spec = bench.spec()
    first = asyncio.create_task(bench.engine.start(spec))
    folder = bench.files({"workload_id": spec.workload_id, "launch": spec.launch})
    while not folder.exists():
        await asyncio.sleep(0)
    assert first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    handle = await bench.engine.start(spec)
    await bench.settle(handle, Phase.READY)
    assert len(list((bench.data_dir / "sessions").glob("*/*/shim.json"))) == 1


async def test_a_log_that_grows_without_end_is_cut(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    log = LaunchFiles(bench.files(handle)).log
    with log.open("a") as file:
        file.writelines(f"line {number:06}\n" for number in range(400_000))
    # Any signal has the shim look; without one it looks every ten seconds.
    os.kill(_known(bench, handle)["pid"], signal.SIGHUP)
    async with asyncio.timeout(5):
        while not log.read_text().startswith("[earlier lines were dropped]\nline "):
            await asyncio.sleep(0.02)
    assert log.stat().st_size < 3 * 1024 * 1024
    assert await bench.engine.tail(handle, lines=1) == ["line 399999"]
