"""Kill things: no session, no kernel and no running cell is lost, and the truth is shown afterwards."""

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from e2e.conftest import Platform
from e2e.kernels import channels, execute, send, start_kernel
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

S = "/api/v1/jupyter/sessions"
CELL = """
import pathlib, time
for second in range(100):
    pathlib.Path({folder!r}, 'progress').write_text(str(second))
    if pathlib.Path({folder!r}, 'enough').exists():
        break
    time.sleep(0.05)
pathlib.Path({folder!r}, 'finished').touch()
"""


class Running:
    """A session with a kernel in the middle of a cell."""

    def __init__(self, platform: Platform, client: httpx.Client, name: str) -> None:
        self._seen: set[psutil.Process] = set()
        self.platform = platform
        self.client = client
        client.post("/api/v1/jupyter/workspaces", json={"name": name})
        made = client.post(S, json={"workspace": name}, params={"wait": 60}).json()
        assert made["state"] == "running", made
        self.id = made["id"]
        self.folder = Path(client.get(f"/api/v1/jupyter/workspaces/{name}").json()["path"])
        self.kernel = start_kernel(client, self.id)
        with channels(client, self.id, self.kernel) as socket:
            execute(socket, "x = 41")
            send(socket, CELL.format(folder=str(self.folder)))
            wait_for((self.folder / "progress").exists, "the cell runs")

    def finish(self) -> None:
        """Let the cell come to its end by itself and check that its kernel still knows everything."""
        (self.folder / "enough").touch()
        wait_for((self.folder / "finished").exists, "the cell finishes")
        with channels(self.client, self.id, self.kernel) as socket:
            assert execute(socket, "print(x + 1)").strip() == "42"

    def get(self) -> dict[str, object]:
        return dict(self.client.get(f"{S}/{self.id}").json())

    def processes(self) -> list[psutil.Process]:
        """All processes of this session that live: shims of it and its kernel, and what descends from them."""
        for shim in (self._process("pid"), self.kernel_process("pid")):
            if shim is not None:
                self._seen |= {shim, *shim.children(recursive=True)}
        return [process for process in self._seen if process.is_running() and process.status() != "zombie"]

    def server(self) -> psutil.Process:
        """The session's JupyterLab."""
        found = self.found_server()
        assert found is not None
        return found

    def found_server(self) -> psutil.Process | None:
        """The session's JupyterLab, if there is one just now."""
        return self._process("session_pid")

    def kernel_process(self, name: str = "kernel_pid") -> psutil.Process | None:
        """A process of the kernel; `pid`: its shim."""
        return _find(self.platform.data_dir / "kernels" / self.kernel, name)

    def _process(self, name: str) -> psutil.Process | None:
        return _find(self.platform.data_dir / "sessions" / self.id / "1", name)


def _find(folder: Path, name: str) -> psutil.Process | None:
    """A process that a shim's file names, if it lives."""
    try:
        return psutil.Process(json.loads((folder / "shim.json").read_text())[name])
    except psutil.NoSuchProcess:
        return None


@pytest.fixture(scope="module")
def client(platform: Platform) -> httpx.Client:
    return platform.client()


@pytest.mark.req("S3-12")
@pytest.mark.parametrize("part", ["studiolo.server.main", "caddy", "runtime.forkserver", "gateway.host"])
def test_a_running_cell_survives_the_kill_of_a_part(platform: Platform, client: httpx.Client, part: str) -> None:
    running = Running(platform, client, f"kill-{part.rpartition('.')[2]}")
    victim = platform.part(part)
    platform.kill(victim)
    platform.wait_up()
    wait_for(lambda: running.get()["state"] == "running", "the session is shown running")
    running.finish()
    platform.wait_for_another(part, victim)
    assert running.get()["launch"] == 1


def test_a_running_cell_survives_the_kill_of_the_supervisor(restored: Platform, client: httpx.Client) -> None:
    platform = restored
    running = Running(platform, client, "kill-all")
    # Shims of sessions and kernels are collected by the supervisor too, and go on.
    parts = [p for p in platform.supervisor().children() if not p.name().startswith("studiolo-")]
    platform.kill(platform.supervisor())
    wait_for(lambda: not any(p.is_running() and p.status() != "zombie" for p in parts), "the parts end too")
    platform.up()
    assert running.get()["state"] == "running"
    running.finish()


def test_an_end_while_the_platform_is_down_is_told_afterwards(restored: Platform, client: httpx.Client) -> None:
    platform = restored
    running = Running(platform, client, "ends-alone")
    platform.run("down")
    assert running.processes()
    # A server that is killed is started anew, but not for ever.
    for _ in range(4):
        killed = running.server()
        killed.send_signal(signal.SIGKILL)
        # Identity is by start time too: it is another one, or none is left.
        wait_for(lambda: running.found_server() not in (None, killed) or not running.processes(), "it is noticed")  # noqa: B023
    wait_for(lambda: not running.processes(), "nothing of the session is left")
    platform.up()
    wait_for(lambda: running.get()["state"] == "failed", "the end is shown")
    reason = running.get()["reason"]
    assert isinstance(reason, dict)
    assert reason["code"] in ("killed", "out-of-memory"), reason


def test_stopping_a_session_leaves_no_process(platform: Platform, client: httpx.Client) -> None:
    running = Running(platform, client, "leaves-nothing")
    assert len(running.processes()) >= 4
    client.post(f"{S}/{running.id}/stop", params={"wait": 60})
    wait_for(lambda: not running.processes(), "all processes end")
    assert running.get()["state"] == "stopped"


def test_a_platform_that_goes_down_with_its_sessions_leaves_nothing(restored: Platform, client: httpx.Client) -> None:
    platform = restored
    running = Running(platform, client, "goes-too")
    parts = [platform.supervisor(), *platform.supervisor().children(recursive=True)]
    platform.run("down", "--stop-sessions")
    wait_for(lambda: not running.processes(), "the session's processes end")
    wait_for(lambda: not any(p.is_running() and p.status() != "zombie" for p in parts), "all parts end")


def test_requests_wait_through_a_restart_of_the_control_plane(platform: Platform, client: httpx.Client) -> None:
    platform.kill(platform.part("studiolo.server.main"))
    began = time.monotonic()
    # They wait ten seconds; a loaded machine may need longer for the restart.
    assert client.get("/api/v1/me").status_code == 200 or time.monotonic() - began > 9
    platform.wait_up()


def test_a_second_up_on_the_same_data_directory_changes_nothing(platform: Platform) -> None:
    before = platform.supervisor().pid
    assert platform.address in platform.up()
    assert platform.supervisor().pid == before
    refused = platform.run("up", check=False)
    assert refused.returncode != 0
    assert str(before) in refused.stderr


def test_a_taken_port_names_its_owner_and_the_way_out(
    platform: Platform, make_platform: Callable[..., Platform]
) -> None:
    other = make_platform("late", port=platform.port)
    refused = other.run("up", "--detach", check=False)
    assert refused.returncode != 0
    assert "caddy" in refused.stderr
    assert "studiolo up" in refused.stderr
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_newer_schema_is_refused_in_words(platform: Platform, make_platform: Callable[..., Platform]) -> None:
    other = make_platform("newer")
    with (
        contextlib.closing(sqlite3.connect(platform.data_dir / "studiolo.db")) as used,
        contextlib.closing(sqlite3.connect(other.data_dir / "studiolo.db")) as newer,
    ):
        used.backup(newer)
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()
    refused = other.run("up", "--detach", check=False)
    assert refused.returncode != 0
    assert "newer" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_data_directory_is_refused_in_words(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform()
    platform.data_dir.mkdir(parents=True, exist_ok=True)
    platform.data_dir.chmod(0o500)
    refused = platform.run("up", "--detach", check=False)
    platform.data_dir.chmod(0o700)
    assert "cannot be written" in refused.stderr
