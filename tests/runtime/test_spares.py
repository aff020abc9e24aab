"""Spares: a launch claims one that is ready, once, and finds nothing in it but what a fresh fork has."""

import asyncio
import json
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from studiolo.engines.base import Handle, Limits, Phase
from studiolo.engines.local.engine import LocalEngine
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.fixtures import LocalBench, nothing_wanted
from studiolo.testing.local import run_fork_server
from studiolo.testing.waiting import is_gone

# Forgets what forks share, twice, each time in a fork of its own.
FORGET = """
import multiprocessing, os, random, tempfile
from studiolo.runtime import session
tempfile.gettempdir()
for _ in range(2):
    if os.fork() == 0:
        session._forget_shared()
        print(random.random(), bytes(multiprocessing.current_process().authkey).hex(), tempfile.tempdir, flush=True)
        os._exit(0)
    os.wait()
"""

REHEARSE = """
import os, signal, threading
from studiolo.runtime.preload import preload
preload()
from studiolo.runtime.rehearsal import rehearse

def facts():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    return dict(os.environ), os.getcwd(), os.listdir("/proc/self/fd"), threading.active_count(), handlers

before = facts()
rehearse()
assert facts() == before
"""


class Pool:
    """A fork server with spares, seen from outside."""

    def __init__(self, server: psutil.Process, path: Path, size: int) -> None:
        self.server = server
        self.path = path
        self.size = size

    def spares(self) -> list[psutil.Process]:
        """Return the shims that wait for a launch."""
        return [child for child in _children(self.server) if _name(child) == "studiolo-spare"]

    async def full(self) -> list[psutil.Process]:
        """Wait until all spares are ready; return their shims."""
        await _until(lambda: len(self.spares()) == self.size)
        return self.spares()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children())
    except psutil.NoSuchProcess:
        return []


def _name(process: psutil.Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/comm").read_text().strip()
    except OSError:
        return ""


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.02)


@pytest.fixture
def pool(run_dir: Path, request: pytest.FixtureRequest) -> Iterator[Pool]:
    """A fork server of the test's own with one spare, or as many as a test is parametrised with."""
    size = getattr(request, "param", 1)
    path = run_dir / "pool.sock"
    with run_fork_server(path, spares=size) as process:
        yield Pool(psutil.Process(process.pid), path, size)


@pytest.fixture
async def pooled(bench: LocalBench, pool: Pool) -> AsyncIterator[LocalBench]:
    """The bench, whose engine launches from the pool."""
    async with _engine(bench, pool.path):
        yield bench


@asynccontextmanager
async def _engine(bench: LocalBench, path: Path) -> AsyncIterator[None]:
    forking = bench.engine
    bench.engine = LocalEngine(
        data_dir=bench.data_dir,
        session_sockets=bench.sockets,
        fork_server_socket=path,
        start_method="fork",
        stop_grace=timedelta(seconds=3),
    )
    try:
        yield
    finally:
        async with asyncio.timeout(30):
            while await bench.engine.sweep(nothing_wanted):
                await asyncio.sleep(0.05)
        await bench.engine.aclose()
        bench.engine = forking


def _pids(bench: LocalBench, handle: Handle) -> tuple[int, int]:
    known = read_json(LaunchFiles(bench.files(handle)).shim)
    assert known is not None
    return known["pid"], known["session_pid"]


async def test_a_launch_claims_a_spare_and_another_takes_its_place(pooled: LocalBench, pool: Pool) -> None:
    (spare,) = await pool.full()
    (server,) = spare.children()
    assert _pids(pooled, await pooled.start_ready()) == (spare.pid, server.pid)
    (second,) = await pool.full()
    assert second.pid != spare.pid


async def test_a_launch_does_not_wait_for_a_spare(pooled: LocalBench, pool: Pool) -> None:
    (spare,) = await pool.full()
    handles = await asyncio.gather(*(pooled.start_ready() for _ in range(4)))
    shims = [_pids(pooled, handle)[0] for handle in handles]
    assert len(set(shims)) == 4
    assert shims.count(spare.pid) == 1


@pytest.mark.parametrize("pool", [2], indirect=True)
@pytest.mark.parametrize("victim", ["shim", "server"])
async def test_a_spare_that_died_is_replaced(pool: Pool, victim: str) -> None:
    spares = await pool.full()
    (server,) = spares[0].children()
    (spares[0] if victim == "shim" else server).kill()
    await _until(lambda: is_gone(spares[0]) and is_gone(server))
    assert spares[0] not in await pool.full()


async def test_spares_end_with_the_fork_server_and_sessions_do_not(pooled: LocalBench, pool: Pool) -> None:
    await pool.full()
    handle = await pooled.start_ready()
    (spare,) = await pool.full()
    family = [spare, *spare.children()]
    pool.server.kill()
    await _until(lambda: all(map(is_gone, family)))
    assert (await pooled.engine.observe(handle)).phase is Phase.READY


async def test_a_spare_that_was_told_nonsense_says_so_and_ends(pool: Pool) -> None:
    (spare,) = await pool.full()
    family = [spare, *spare.children()]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(pool.path))
        connection.sendall(b"nonsense\n")
        assert json.loads(connection.recv(65536))["event"] == "error"
    await _until(lambda: all(map(is_gone, family)))


async def test_a_second_request_for_a_launch_finds_the_first(pooled: LocalBench, pool: Pool) -> None:
    await pool.full()
    spec = pooled.spec()
    first = await pooled.engine.start(spec)
    await pool.full()
    assert await pooled.engine.start(spec) == first


async def test_a_claimed_spare_can_be_stopped(pooled: LocalBench, pool: Pool) -> None:
    await pool.full()
    handle = await pooled.engine.start(pooled.spec())
    await pooled.engine.stop(handle, grace=timedelta(seconds=3))
    seen = await pooled.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"


async def test_a_claimed_spare_is_as_a_fresh_fork(pooled: LocalBench, pool: Pool) -> None:
    (shim,) = await pool.full()
    claimed, forked = await pooled.start_ready(), await pooled.start_ready()
    assert _pids(pooled, claimed)[0] == shim.pid
    spare, fork = await _facts(pooled, claimed), await _facts(pooled, forked)
    for name in fork:
        assert spare[name] == fork[name], name


async def test_the_variables_of_a_claimed_spare_are_the_requests(
    pooled: LocalBench, pool: Pool, tmp_path: Path
) -> None:
    await pool.full()
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "TZ": "Asia/Tokyo", "ONLY_HERE": "yes"}
    client = pooled.client(await pooled.start_ready(variables=places))
    code = "import json, os, time; print(json.dumps([dict(os.environ), time.tzname]))"
    variables, names = json.loads(await client.run(await client.start_kernel(), code))
    assert places.items() <= variables.items()
    assert names == ["JST", "JST"]
    assert "studiolo-spare" not in json.dumps(variables)


async def test_a_claimed_spare_is_held_to_its_limits(pooled: LocalBench, pool: Pool) -> None:
    (spare,) = await pool.full()
    handle = await pooled.start_ready(limits=Limits(memory=500 << 20, processes=300))
    shim, server = _pids(pooled, handle)
    assert shim == spare.pid
    name = f"{handle['workload_id']}.{handle['launch']}"
    groups = Path(f"/proc/{server}/cgroup").read_text().count(f"/{name}\n")
    files = read_json(LaunchFiles(pooled.files(handle)).shim)
    assert files is not None
    limits = resource.prlimit(server, resource.RLIMIT_DATA)
    assert groups >= 1 if "memory" in files["groups"] else limits == (500 << 20, 500 << 20)


def test_forks_share_no_seed_no_key_and_no_temporary_folder() -> None:
    ran = subprocess.run([sys.executable, "-c", FORGET], capture_output=True, text=True, check=True)
    (seed, key, folder), (other_seed, other_key, _) = (line.split() for line in ran.stdout.splitlines())
    assert seed != other_seed
    assert key != other_key
    assert folder == "None"


def test_a_rehearsal_leaves_nothing_behind(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", REHEARSE], env=env, check=True, timeout=60)
    assert not list(tmp_path.iterdir())


async def _facts(bench: LocalBench, handle: Handle) -> dict[str, Any]:
    """Return what can be seen of a session from outside, without what is its own by right."""
    shim, server = _pids(bench, handle)
    started = datetime.now(UTC)
    proc = Path(f"/proc/{server}")
    client = bench.client(handle)
    files = sorted(re.sub(r"\d+", "N", _neutral(str(fd.readlink()), handle)) for fd in (proc / "fd").iterdir())
    async with client.http("login") as http:
        status = (await http.get("api/status")).json()
        facts: dict[str, Any] = {
            path: _neutral((await http.get(path)).text, handle)
            for path in ("lab", "api", "api/me", "api/kernelspecs", "api/kernels", "api/terminals", "api/contents")
        }
        facts["requests"] = re.findall(
            r"^http_request_duration_seconds_count.*", (await http.get("metrics")).text, re.M
        )
    kernel = await client.run(await client.start_kernel(), "import os; print(sorted(os.environ.items()))")
    wanted = ("Umask", "Groups", "SigBlk", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs", "NSsid", "NSpgid")
    lines = (line.split(":\t") for line in (proc / "status").read_text().splitlines())
    log = (bench.files(handle) / "server.log").read_text()
    return facts | {
        "started": abs(datetime.fromisoformat(status["started"]) - started) < timedelta(seconds=20),
        "status": {name: value for name, value in lines if name in wanted and not name.startswith("NS")},
        "leads its group": (os.getsid(server) == shim, os.getpgid(server) == shim),
        "files": files,
        "environ": (proc / "environ").read_bytes().split(b"NOTIFY")[0],
        "kernel": _neutral(kernel, handle),
        "cwd": (proc / "cwd").readlink(),
        "comm": [(proc / "comm").read_text(), Path(f"/proc/{shim}/comm").read_text()],
        "groups": _neutral((proc / "cgroup").read_text(), handle),
        "limits": (proc / "limits").read_text(),
        "oom": (proc / "oom_score_adj").read_text(),
        "nice": os.getpriority(os.PRIO_PROCESS, server),
        "maps": "studiolo-spare" in (proc / "maps").read_text(),
        "log": sorted(
            {
                _neutral(re.sub(r"^\[(.) [^\]]* (\w+)\]", r"[\1 \2]", line), handle)
                for line in log.splitlines()
                # Comes when a socket is closed, which may be after the look.
                if "Starting buffering" not in line
            }
        ),
    }


def _neutral(text: str, handle: Handle) -> str:
    """Leave out ids, times and random values."""
    text = text.replace(str(handle["workload_id"]), "ID")
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{32}\b", "UUID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME", text)
    return re.sub(r"(_xsrf|JPY_SESSION_NAME|JPY_PARENT_PID|token|pid)[\"'=:, ]+[^\"',<\s]+", r"\1", text)
