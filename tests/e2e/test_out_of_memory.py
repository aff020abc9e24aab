"""Memory runs out on a real platform: each of the three ways is told within five seconds, and told apart."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from e2e.conftest import Platform
from e2e.kernels import channels, execute, send
from studiolo.runtime import cgroups
from studiolo.runtime.launch import LaunchFiles
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

S = "/api/v1/jupyter/sessions"
LIMIT = 250 * 1024**2
WITHIN_SECONDS = 5


class Session:
    """A session of LIMIT in which a notebook runs."""

    def __init__(self, platform: Platform, name: str) -> None:
        self.client = client = platform.client()
        client.post("/api/v1/jupyter/workspaces", json={"name": name})
        wish = {"workspace": name, "resources": {"cpu": 1, "memory": "250m"}}
        made = client.post(S, json=wish, params={"wait": 60}).json()
        assert made["state"] == "running", made
        self.id = made["id"]
        notebook = {"path": "sales.ipynb", "name": "sales.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        reply = client.post(f"/s/{self.id}/api/sessions", json=notebook)
        self.kernel = reply.json()["kernel"]["id"]
        with channels(client, self.id, self.kernel) as socket:
            self.kernel_process = psutil.Process(int(execute(socket, "import os; print(os.getpid())")))
        shim = LaunchFiles(platform.data_dir / "sessions" / self.id / "1").shim
        self.server_process = psutil.Process(json.loads(shim.read_text())["session_pid"])

    def get(self) -> dict[str, Any]:
        return dict(self.client.get(f"{S}/{self.id}").json())

    def usage(self) -> dict[str, Any]:
        return dict(self.client.get(f"{S}/{self.id}/usage").json())

    @contextmanager
    def cell(self, code: str) -> Iterator[None]:
        with channels(self.client, self.id, self.kernel) as socket:
            send(socket, code)
            yield


@pytest.fixture(scope="module", autouse=True)
def memory_groups() -> None:
    if "memory" not in cgroups.find_places("studiolo-test-e2e"):
        pytest.skip("no group of this machine can be limited in memory")


@pytest.fixture
def session(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Session]:
    running = Session(platform, f"memory-{request.node.name.rpartition('_')[2]}")
    yield running
    running.client.post(f"{S}/{running.id}/stop", params={"wait": 60})


def seconds_until(check: Callable[[], Any], what: str) -> float:
    begun = time.monotonic()
    wait_for(check, what, seconds=15)
    return time.monotonic() - begun


def test_one_kernel(session: Session) -> None:
    with session.cell(f"held = b'x' * {4 * LIMIT}"):
        wait_for(lambda: not session.kernel_process.is_running(), "the kernel is gone")
        assert seconds_until(lambda: session.get()["last_death"], "the death is told") < WITHIN_SECONDS
    death = session.get()["last_death"]
    assert (death["what"], death["name"], death["limit"]) == ("kernel", "sales.ipynb", LIMIT)
    assert "sales.ipynb" in death["message"]
    assert "of 250 MiB" in death["message"]
    assert session.get()["state"] == "running"
    assert session.usage()["enforcement"]["memory"].startswith("cgroup")
    assert session.usage()["now"]["memory"] < LIMIT


WORKERS = f"""
import subprocess, sys
program = "held = b'x' * {LIMIT * 3 // 5}; input()"
workers = [subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) for _ in range(3)]
os.wait()
died = os.times().elapsed
"""


def test_many_processes(session: Session) -> None:
    with channels(session.client, session.id, session.kernel) as socket:
        execute(socket, WORKERS)
        assert seconds_until(lambda: session.get()["last_death"], "the deaths are told") < WITHIN_SECONDS
        assert session.get()["last_death"]["what"] == "processes"
        assert execute(socket, "print(len(workers)); [worker.kill() for worker in workers]") == "3\n"
    assert session.get()["state"] == "running"


# A process may offer itself less, down to what it was born with, and others of its account more.
# It takes no more once the server's memory is gone, and gives back what it took: the next server needs the room, or
# the kernel's own end would be the last that is told.
TAKE_SERVER = """
import pathlib, time
pathlib.Path('/proc/self/oom_score_adj').write_text('0')
pathlib.Path('/proc/{server}/oom_score_adj').write_text('1000')
held = []
try:
    while not pathlib.Path('/proc/{server}/statm').read_text().startswith('0 '):
        held.append(b'x' * 2**20)
        time.sleep(0.005)
except OSError:
    pass
held.clear()
"""


def test_the_sessions_server(session: Session) -> None:
    with session.cell(TAKE_SERVER.format(server=session.server_process.pid)):
        wait_for(lambda: not session.server_process.is_running(), "the server is gone")
        assert seconds_until(lambda: session.get()["last_death"], "the death is told") < WITHIN_SECONDS
    death = session.get()["last_death"]
    assert (death["what"], death["limit"]) == ("server", LIMIT)
    assert death["peak"] >= 0.95 * LIMIT
    assert "It was started again" in death["message"]
    assert session.get()["state"] == "running"
