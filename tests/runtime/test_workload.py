"""A session as the one program of a container, a job or a pod: told by a file, telling by files and its status."""

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest

from studiolo.runtime import processes, workload
from studiolo.runtime.launch import LaunchFiles, LaunchRequest, read_json
from studiolo.testing.local import SessionClient

pytestmark = pytest.mark.timeout(120)

SECONDS = 60.0
NOT_YET = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)
SECRET = "secret-of-this-launch"
T = TypeVar("T")


class Place:
    """The folders of one launch, and the program that runs in them."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.folder = folder / "launch"
        self.run_folder = folder / "run"
        self.files = LaunchFiles(self.folder)
        self.workspace = folder / "work"
        for made in (self.folder, self.workspace):
            made.mkdir()
        self.request = LaunchRequest(
            workload_id="s-1",
            launch=1,
            launch_folder=str(self.folder),
            run_folder=str(self.run_folder),
            socket=str(folder / "s.sock"),
            folder=str(self.workspace),
            start_folder="",
            environment=str(environment),
            base_url="/s/s-1/",
            grace_seconds=10,
            secret=SECRET,
            api_key="key-of-the-session",
            platform_url="http://127.0.0.1:9",
            variables={"JUPYTER_RUNTIME_DIR": str(self.run_folder), "HOME": str(folder), "OURS": "request"},
        )
        self.process: subprocess.Popen[str] | None = None

    def relaunch(self, folder: Path) -> None:
        """Have what begins next be another launch of the session, in `folder`."""
        self.folder, self.files = folder, LaunchFiles(folder)
        self.request = dataclasses.replace(self.request, launch_folder=str(folder))

    def begin(self, *wrapped: str, **changes: Any) -> subprocess.Popen[str]:
        """Write the request as engines do, and run the program, see `run`."""
        line = dataclasses.replace(self.request, **changes).to_line()
        self.files.request.touch(mode=0o600)
        self.files.request.write_bytes(line)
        return self.run(*wrapped)

    def run(self, *wrapped: str) -> subprocess.Popen[str]:
        """Run the program with what lies there, by the program `wrapped` if that is given."""
        self.process = subprocess.Popen(
            [*wrapped, sys.executable, "-P", "-m", "studiolo.runtime.workload", str(self.folder)],
            env={"PATH": os.environ["PATH"], "GIVEN_BY_ENGINE": "yes", "OURS": "engine", "PYTHONFAULTHANDLER": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self.process

    async def end(self) -> tuple[int, str]:
        """Wait for the program's end; returns its status and output."""
        assert self.process is not None
        output, _ = await asyncio.to_thread(self.process.communicate, timeout=SECONDS)
        return self.process.returncode, output

    async def client(self) -> SessionClient:
        """Wait until the session is ready."""
        ready = await eventually(lambda: read_json(self.files.ready), self.log)
        return SessionClient.at(ready["address"], "/s/s-1/", SECRET)

    def log(self) -> str:
        """Return what the launch's log says."""
        return self.files.log.read_text() if self.files.log.exists() else "no log"


async def eventually(look: Callable[[], T | None], explain: Callable[[], object] = lambda: "") -> T:
    """Return what `look` returns once that is something."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            while not (seen := look()):
                await asyncio.sleep(0.02)
            return seen
    raise AssertionError(explain())


@pytest.fixture
def place(run_dir: Path, environment: Path) -> Iterator[Place]:
    """A place for one launch; leaves nothing running in it."""
    place = Place(run_dir, environment)
    yield place
    if place.process is not None and place.process.poll() is None:
        # Killed, it would leave the folders of what it started to be removed first.
        place.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            place.process.communicate(timeout=SECONDS)
        place.process.kill()
        place.process.communicate()


async def test_it_serves_on_a_unix_socket_until_it_is_told_to_stop(place: Place) -> None:
    process = place.begin()
    client = await place.client()
    assert client.socket == Path(place.request.socket)
    async with client.http("login") as http:
        assert (await http.get("lab")).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert await place.end() == (0, "")
    ended = read_json(place.files.exit)
    assert ended is not None
    assert (ended["reason"], ended["code"], ended["signal"]) == ("stopped", 0, None)
    assert not client.socket.exists()
    assert not place.run_folder.exists()


async def test_it_listens_on_a_port_that_only_the_secret_opens(place: Place) -> None:
    process = place.begin(listen="tcp://127.0.0.1:0")
    client = await place.client()
    host, _, port = client.address.rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0
    assert not Path(place.request.socket).exists()
    async with client.http() as http:
        assert (await http.get("api/contents")).status_code == 200
    wrong = dataclasses.replace(client, secret="another")
    for auth, refused in ((None, client), ("key", wrong)):
        async with refused.http(auth) as http:
            assert (await http.get("api/contents")).status_code == 403
    process.terminate()
    assert (await place.end())[0] == 0


async def test_its_kernels_are_those_of_the_workspace_and_know_what_holds_here(place: Place) -> None:
    process = place.begin()
    client = await place.client()
    told = "import json, os, sys; print(json.dumps([sys.prefix, dict(os.environ)]))"
    prefix, variables = json.loads(await client.run(kernel := await client.start_kernel(), told))
    assert prefix == place.request.environment
    assert variables["GIVEN_BY_ENGINE"] == "yes"
    assert variables["OURS"] == "request"
    assert "PYTHONFAULTHANDLER" not in variables
    assert SECRET not in variables.values()
    connection = json.loads((place.run_folder / f"kernel-{kernel}.json").read_text())
    assert connection["transport"] == "ipc"
    process.terminate()
    await place.end()


async def test_a_server_that_crashes_is_started_anew_at_the_same_address(place: Place) -> None:
    process = place.begin(listen="tcp://127.0.0.1:0")
    client = await place.client()
    first = (read_json(place.files.shim) or {})["session_pid"]
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: (read_json(place.files.shim) or {})["session_pid"] != first)
    async with client.http() as http, asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(*NOT_YET):
                assert (await http.get("api")).status_code == 200
                break
            await asyncio.sleep(0.05)
    restarts = (read_json(place.files.restarts) or {})["restarts"]
    assert [restart["reason"] for restart in restarts] == ["killed"]
    process.terminate()
    assert (await place.end())[0] == 0


async def test_it_ends_with_the_status_of_its_session(place: Place) -> None:
    place.begin(folder=str(place.workspace / "absent"))
    status, _ = await place.end()
    assert status == 1
    ended = read_json(place.files.exit)
    assert ended is not None
    assert (ended["reason"], ended["code"]) == ("never-ready", 1)
    assert "No such file or directory" in place.log()


async def test_all_that_it_started_ends_with_it(place: Place) -> None:
    process = place.begin()
    client = await place.client()
    away = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
    pid = int(await client.run(await client.start_kernel(), away))
    assert processes.find_process(pid)
    process.terminate()
    await place.end()
    assert processes.find_process(pid) is None


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare")
async def test_as_process_1_it_hears_signals_and_reaps_what_others_leave_behind(place: Place) -> None:
    namespace = place.begin("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    client = await place.client()
    assert (read_json(place.files.shim) or {})["pid"] == 1
    orphan = "import subprocess; subprocess.run(['sh', '-c', 'sleep 0.01 &'])"
    await client.run(kernel := await client.start_kernel(), orphan)
    zombies = "import glob; print(sum(' Z ' in open(file).read() for file in glob.glob('/proc/[0-9]*/stat')))"
    async with asyncio.timeout(SECONDS):
        while await client.run(kernel, zombies) != "0\n":
            await asyncio.sleep(0.1)
    (first,) = psutil.Process(namespace.pid).children()
    first.terminate()
    assert (await place.end())[0] == 0
    assert (read_json(place.files.exit) or {})["reason"] == "stopped"


async def test_the_request_is_gone_once_it_is_read_and_nothing_else_holds_the_secret(place: Place) -> None:
    process = place.begin()
    await place.client()
    assert not place.files.request.exists()
    kept = [file for folder in (place.folder, place.run_folder) for file in folder.rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if SECRET.encode() in file.read_bytes()]
    process.terminate()
    await place.end()


async def test_its_log_is_printed_too_if_that_is_asked_for(place: Place) -> None:
    process = place.begin(log_to_stdout=True)
    client = await place.client()
    async with client.http() as http:
        await http.get("api/contents/none.txt")
    process.terminate()
    _, output = await place.end()
    assert "none.txt" in output
    assert output == place.log()


async def test_a_missing_request_is_said_and_told_to_the_engine(place: Place) -> None:
    place.run()
    status, output = await place.end()
    assert status == workload.MISSING
    assert output.startswith("There is no launch request to be read: ")
    ended = read_json(place.files.exit)
    assert ended is not None
    assert (ended["reason"], ended["message"] + "\n") == ("never-ready", output)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"workload_id": "s-1", "lau', "is not a JSON line"),
        (b'{"workload_id": "s-1", "news": 1}\n', "other members than this version knows"),
        (b"", "is not a JSON line"),
    ],
)
async def test_a_request_that_cannot_be_used_is_refused_and_removed(place: Place, line: bytes, said: str) -> None:
    place.files.request.write_bytes(line)
    place.run()
    status, output = await place.end()
    assert status == workload.UNUSABLE
    assert said in output
    assert not place.files.request.exists()


async def test_a_launch_runs_once(place: Place) -> None:
    place.begin(folder=str(place.workspace / "absent"))
    await place.end()
    first = read_json(place.files.exit)
    place.begin()
    status, output = await place.end()
    assert status == workload.RAN_BEFORE
    assert output == "Launch s-1.1 has run here before; a launch runs once.\n"
    assert read_json(place.files.exit) == first


async def test_a_folder_that_cannot_be_made_is_said(place: Place) -> None:
    (place.workspace / "file").touch()
    place.begin(run_folder=str(place.workspace / "file" / "run"))
    status, output = await place.end()
    assert status == workload.NO_MEANS
    assert output.startswith("The session cannot run here: [Errno 20]")


async def test_a_stop_that_comes_at_once_is_heard(place: Place) -> None:
    process = place.begin()
    process.terminate()
    status, _ = await place.end()
    # Python itself may not have begun.
    assert status in {0, -signal.SIGTERM}
