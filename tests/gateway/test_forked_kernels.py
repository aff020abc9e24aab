"""Forked kernels are what spawned ones are: the same to look at from inside, and with nothing of a stranger's past."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.kernels import Bench, client_of, ended, run
from studiolo.runtime import processes
from studiolo.runtime.kernelcommands import BASE_FILE
from studiolo.runtime.launch import read_json
from studiolo.runtime.spool import decode, read_left
from studiolo.server.environments.clone import clone

# What a kernel sees of itself. Numbers of processes and places of sockets differ, of course.
FACTS = """
import asyncio, builtins, gc, json, locale, logging, multiprocessing, os, random, signal, site, sys, sysconfig, threading
import linecache, tempfile, time
import IPython, ipykernel, jupyter_core.paths
shell = get_ipython()
# It is opened by another thread.
session = shell.history_manager.session_number
facts = {
    "cwd": os.getcwd(),
    "path": sys.path,
    "prefixes": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.executable, site.PREFIXES, site.ENABLE_USER_SITE],
    "argv": [sys.argv[0].rpartition("/")[2], len(sys.argv)],
    "flags": repr(sys.flags), "options": sys._xoptions,
    "main": [sys.modules["__main__"].__dict__ is globals(), __name__, "__file__" in globals(), str(type(__builtins__))],
    "names": sorted(name for name in globals() if name not in ("facts", "shell", "session")),
    "builtins": sorted(vars(builtins)),
    "signals": {n.name: str(getattr(signal.getsignal(n), "__name__", signal.getsignal(n))) for n in signal.valid_signals()
                if isinstance(n, signal.Signals)},
    "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "umask": os.umask(0o022),
    "variables": {k: v for k, v in os.environ.items() if k != "STUDIOLO_KERNEL"},
    "locale": locale.setlocale(locale.LC_CTYPE), "encodings": [sys.getfilesystemencoding(), sys.stdout.encoding],
    "threads": sorted({thread.name.rpartition("-")[0] or thread.name for thread in threading.enumerate()}),
    "standard": [os.readlink(f"/proc/self/fd/{n}").partition(":")[0] for n in (0, 1, 2)],
    "files": sorted({place for place in map(os.path.realpath, __import__("glob").glob("/proc/self/fd/*"))
                     if os.path.isfile(place) and not place.endswith(("kernel.log", "-journal"))}),
    "session leader": os.getpid() == os.getsid(0) == os.getpgid(0),
    "modules": [IPython.__path__, ipykernel.__path__, sysconfig.get_path("purelib")],
    "jupyter": jupyter_core.paths.jupyter_path(), "config": jupyter_core.paths.jupyter_config_path(),
    "ours": sorted(name for name in sys.modules if name.partition(".")[0] == "studiolo"),
    "history": [In, Out, _dh == [os.getcwd()] or str(_dh), shell.execution_count, session > 0,
                shell.history_manager.hist_file, shell.ipython_dir, shell.profile_dir.location],
    "past": [len([name for name in linecache.cache if "ipykernel_" in name]), len(shell.compile._filename_map),
             len(shell.history_manager.outputs), shell.displayhook._, str(shell.last_execution_result),
             sorted(shell.user_ns_hidden)],
    "session": globals().get("__session__"),
    "start": globals().get("from_start"),
    "logging": [logging.root.level, len(logging.root.handlers)],
    "gc": [gc.isenabled(), gc.get_threshold()],
    "niceness": os.nice(0), "oom": open("/proc/self/oom_score_adj").read(),
    "tempdir": tempfile.gettempdir(),
    "tz": time.tzname,
    "import of ours": __import__("importlib.util").util.find_spec("studiolo") is not None,
    "start method": multiprocessing.get_start_method(),
    "username": shell.kernel.session.username,
}
print(json.dumps(facts, default=str))
"""

_SESSIONS = "SELECT session, end, num_cmds FROM sessions"


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    top = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield top
    shutil.rmtree(top)


@pytest.fixture
async def benches(folder: Path, environment: Path) -> AsyncIterator[dict[str, Bench]]:
    """A launcher that execs, one that forks, and one with a spare; each with run folders of its own."""
    made = {
        mode: Bench(folder, folder / mode, environment, spares)
        for mode, spares in (("exec", None), ("fork", 0), ("spare", 1))
    }
    yield made
    for bench in made.values():
        await bench.close()


def _base_and_clone(environment: Path, folder: Path) -> tuple[Path, Path]:
    """Return a base as the platform names them, and a clone beside it."""
    base, target = folder / "base-test", folder / "clone"
    clone(environment, base)
    (base / BASE_FILE).unlink()
    clone(base, target)
    return base, target


async def _facts(bench: Bench, **changes: Any) -> dict[str, Any]:
    plan = bench.plan(**changes)
    process = await bench.start(plan)
    told: dict[str, Any] = json.loads(await run(process, FACTS))
    assert (process.spool is None) == (bench.spares is None), "it was not started as this test means"
    return told


async def _until_spare_waits(bench: Bench) -> None:
    async with asyncio.timeout(30):
        while not any(
            "studiolo-spare" in names for names in map(_names_of_children, bench.sockets.glob("*.sock.json"))
        ):
            await asyncio.sleep(0.02)


def _names_of_children(known: Path) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.name() for child in psutil.Process((read_json(known) or {})["pid"]).children()]
    return []


async def test_forks_look_from_inside_as_spawned_kernels_do(folder: Path, benches: dict[str, Bench]) -> None:
    start = folder / "i" / "profile_default" / "startup"
    start.mkdir(parents=True)
    (start / "10.py").write_text("import os\nfrom_start = os.getcwd()\n")
    (folder / "lib").mkdir()
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "USER": "ana",
        "IPYTHONDIR": str(folder / "i"),
        "PYTHONPATH": str(folder / "lib"),
        "PYTHONNOUSERSITE": "1",
        "LANG": "C.UTF-8",
        "TZ": "Asia/Tokyo",
        "JPY_SESSION_NAME": "/work.ipynb",
    }
    told = {}
    for mode, bench in benches.items():
        if mode == "spare":
            await bench.launcher.prepare(bench.environment)
            await _until_spare_waits(bench)
        told[mode] = await _facts(bench, variables=variables)
    for mode in ("fork", "spare"):
        different = {name: (want, told[mode][name]) for name, want in told["exec"].items() if told[mode][name] != want}
        assert different == {}, mode


async def test_forks_share_no_secret(benches: dict[str, Bench]) -> None:
    code = "import multiprocessing, random, uuid; print(random.random(), multiprocessing.current_process().authkey, uuid.uuid4())"
    bench = benches["fork"]
    first, second = [await run(await bench.start(bench.plan()), code) for _ in range(2)]
    assert not set(first.split(" ", 2)) & set(second.split(" ", 2))


async def test_a_clone_is_served_by_its_bases_server_and_is_its_own_place(
    folder: Path, environment: Path, benches: dict[str, Bench]
) -> None:
    base, target = await asyncio.to_thread(_base_and_clone, environment, folder)
    site = next(target.glob("lib/python*/site-packages"))
    (site / "only_here.py").write_text("word = 'mine'")
    (site / "extra.pth").write_text(f"{folder / 'more'}\n")
    (folder / "more").mkdir()
    for mode, bench in benches.items():
        bench.environment = base
        await bench.launcher.prepare(base)
        bench.environment = target
        if mode == "spare":
            await _until_spare_waits(bench)
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONNOUSERSITE": "1", "LANG": "C.UTF-8"}
    told = {mode: await _facts(bench, variables=variables) for mode, bench in benches.items()}
    # Both may be imported from the clone only, also by whoever asks where.
    assert told["exec"]["modules"][0] == [str(site / "IPython")]
    assert str(folder / "more") in told["exec"]["path"]
    for mode in ("fork", "spare"):
        assert len(list(benches[mode].sockets.glob("*.sock"))) == 1
        assert {name for name in told["exec"] if told["exec"][name] != told[mode][name]} == set(), mode
    process = await benches["spare"].start(benches["spare"].plan())
    assert await run(process, "import only_here; print(only_here.word)") == "mine\n"


async def test_an_environment_that_would_import_other_versions_is_not_forked(
    folder: Path, environment: Path, benches: dict[str, Bench]
) -> None:
    _, target = await asyncio.to_thread(_base_and_clone, environment, folder)
    bench = benches["fork"]
    bench.environment = target
    assert (await bench.start(bench.plan())).spool is not None
    (installed,) = target.glob("lib/python*/site-packages/ipython-*.dist-info")
    installed.rename(installed.with_name("ipython-99.0.dist-info"))
    process = await bench.start(bench.plan())
    assert process.spool is None
    assert await run(process, "print(6 * 7)") == "42\n"


@pytest.mark.parametrize("changes", [{"PYTHONHASHSEED": "0"}, {"LD_PRELOAD": ""}])
async def test_what_acts_when_an_interpreter_starts_is_heeded(
    benches: dict[str, Bench], changes: dict[str, str]
) -> None:
    bench = benches["fork"]
    plan = bench.plan()
    process = await bench.start(bench.plan(variables=dict(plan.variables) | changes))
    (name, value), *_ = changes.items()
    assert await run(process, f"import os; print(os.environ[{name!r}])") == f"{value}\n"
    assert process.spool is None


async def test_a_persons_configuration_is_heeded_in_spite_of_a_spare(folder: Path, benches: dict[str, Bench]) -> None:
    bench = benches["spare"]
    await bench.launcher.prepare(bench.environment)
    await _until_spare_waits(bench)
    profile = folder / "i" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text("c.InteractiveShell.ast_node_interactivity = 'none'")
    process = await bench.start(bench.plan())
    assert await run(process, "1; print(get_ipython().ast_node_interactivity)") == "none\n"


async def test_what_runs_in_a_spare_is_in_its_persons_history(folder: Path, benches: dict[str, Bench]) -> None:
    bench = benches["spare"]
    for code in ("first = 1", "second = 2"):
        await bench.launcher.prepare(bench.environment)
        await _until_spare_waits(bench)
        process = await bench.start(bench.plan())
        await run(process, code)
        client = client_of(process)
        client.shutdown()
        await ended(process)
        client.stop_channels()
    with contextlib.closing(sqlite3.connect(folder / "i/profile_default/history.sqlite")) as database:
        lines = list(database.execute("SELECT session, line, source FROM history ORDER BY session"))
        sessions = [(number, bool(end), count) for number, end, count in database.execute(_SESSIONS)]
    assert [source for _, _, source in lines] == ["first = 1", "second = 2"]
    kept = {number: (has_ended, count) for number, has_ended, count in sessions}
    assert [(line, *kept[session]) for session, line, _ in lines] == [(1, True, 1)] * 2


@pytest.mark.parametrize("mode", ["fork", "spare"])
async def test_kernels_outlive_their_server_and_the_next_finds_another(benches: dict[str, Bench], mode: str) -> None:
    bench = benches[mode]
    first = await bench.start(bench.plan())
    await run(first, "kept = 1")
    (known,) = bench.sockets.glob("*.sock.json")
    server = (read_json(known) or {})["pid"]
    os.kill(server, signal.SIGKILL)
    await _until_gone(server)
    second = await bench.start(bench.plan())
    assert second.spool is not None
    assert (read_json(known) or {})["pid"] != server
    assert await run(first, "print(kept)") == "1\n"
    assert await run(second, "print('kept' in globals())") == "False\n"


async def test_a_server_ends_with_the_last_host_that_says_goodbye(benches: dict[str, Bench]) -> None:
    bench = benches["spare"]
    await bench.launcher.prepare(bench.environment)
    await _until_spare_waits(bench)
    (known,) = bench.sockets.glob("*.sock.json")
    server = (read_json(known) or {})["pid"]
    later = bench.another()
    await later.prepare(bench.environment)
    await bench.launcher.aclose()
    kernel = await later.start(bench.plan())
    bench.started.append(kernel)
    assert processes.find_process(server) is not None
    await later.aclose()
    await _until_gone(server)
    assert await run(kernel, "print(6 * 7)") == "42\n"
    async with asyncio.timeout(30):
        while list(bench.sockets.glob("*.w")):
            await asyncio.sleep(0.02)


async def test_forks_and_workers_of_a_cell_print_as_ever(benches: dict[str, Bench]) -> None:
    code = """
import multiprocessing, os, sys
def work(number):
    print("worker", number, flush=True)
    return number * number
if os.fork() == 0:
    print("forked", flush=True)
    os._exit(0)
os.wait()
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(3)))
"""
    bench = benches["fork"]
    process = await bench.start(bench.plan())
    said = await run(process, code)
    assert "forked" in said
    assert "[0, 1, 4]" in said
    numbers = [number for number, _ in await _spooled(process.spool, 0) if number]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_output_is_kept_and_given_again_until_it_is_acknowledged(benches: dict[str, Bench]) -> None:
    bench = benches["spare"]
    process = await bench.start(bench.plan())
    await run(process, "for n in range(100): print('line', n, flush=True)")
    spooled = await _spooled(process.spool, 0)
    numbers = [number for number, _ in spooled if number]
    assert numbers == list(range(1, len(numbers) + 1))
    lines = [
        json.loads(frames[-1]).get("text", "") for number, frames in spooled if number and b"stream.stdout" in frames
    ]
    assert "".join(lines) == "".join(f"line {n}\n" for n in range(100))
    assert spooled[-1] == (0, [json.dumps({"last": numbers[-1]}).encode()])
    after = numbers[-3]
    assert [number for number, _ in await _spooled(process.spool, 0, acknowledge=after) if number] == numbers[-2:]


@pytest.mark.parametrize("mode", ["exec", "fork", "spare"])
async def test_a_kernel_that_is_shut_down_ends_in_order_and_leaves_what_was_not_acknowledged(
    folder: Path, benches: dict[str, Bench], mode: str
) -> None:
    bench = benches[mode]
    process = await bench.start(bench.plan())
    end = f"import atexit, pathlib; atexit.register(pathlib.Path({str(folder / 'ended')!r}).touch); print('said')"
    assert await run(process, end) == "said\n"
    client = client_of(process)
    client.shutdown()
    assert (await ended(process)).reason == "exited"
    client.stop_channels()
    assert (folder / "ended").exists()
    left = [frames for _, frames in read_left(bench.files(process).spool, 0)]
    assert any(b'"said\\n"' in frames[-1] for frames in left) == (mode != "exec")


async def _spooled(spool: Path | None, after: int, acknowledge: int = 0) -> list[tuple[int, list[bytes]]]:
    assert spool is not None
    reader, writer = await asyncio.open_unix_connection(spool)
    writer.write(f'{{"ack": {acknowledge}}}\n{{"after": {after}}}\n'.encode())
    content, found = b"", list[tuple[int, list[bytes]]]()
    async with asyncio.timeout(30):
        while not found or found[-1][0] or b"last" not in found[-1][1][0]:
            content += await reader.read(1 << 20)
            found = list(decode(content))
    writer.close()
    await writer.wait_closed()
    return found


async def _until_gone(pid: int) -> None:
    async with asyncio.timeout(30):
        while processes.find_process(pid) is not None:
            await asyncio.sleep(0.02)
