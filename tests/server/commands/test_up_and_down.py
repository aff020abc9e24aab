"""The operator's commands on a whole platform: real processes, one data directory per module."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import command_lines
from base_environments import give_base, small_lock
from studiolo.testing.ports import free_port
from studiolo.testing.waiting import wait_for

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[3]
STUDIOLO = Path(sys.executable).with_name("studiolo")


@dataclass
class Machine:
    """An account's surroundings: data directory, port, and where the command line keeps its keys."""

    folder: Path
    port: int

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        ours = {"STUDIOLO_DATA_DIR": self.data_dir, "STUDIOLO_PORT": self.port, "XDG_CONFIG_HOME": self.folder}
        ours["STUDIOLO_ENVIRONMENTS__LOCK_FILE"] = small_lock()
        plain = {name: value for name, value in os.environ.items() if not name.startswith("STUDIOLO_")}
        return {**plain, **{name: str(value) for name, value in ours.items()}}

    def call(self, *words: object) -> subprocess.CompletedProcess[str]:
        argv, quiet = [str(word) for word in words], subprocess.DEVNULL
        return subprocess.run(argv, env=self.env, stdin=quiet, capture_output=True, text=True, timeout=120, cwd=ROOT)

    def studiolo(self, *words: str, stdin: str = "", code: int = 0) -> str:
        done = command_lines.run("studiolo", words, variables=self.env, folder=ROOT, stdin=stdin)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    def record(self, name: str) -> Any:
        return json.loads((self.data_dir / name).read_text())

    def health(self) -> int:
        return httpx.get(f"http://127.0.0.1:{self.port}/api/v1/health", headers=self.host, trust_env=False).status_code

    def answers(self) -> bool:
        try:
            return self.health() == 200
        except httpx.TransportError:
            return False

    @property
    def host(self) -> dict[str, str]:
        return {"host": f"localhost:{self.port}"}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    one = Machine(folder, free_port())
    give_base(one.data_dir, small_lock())
    yield one
    one.studiolo("down", "--stop-sessions")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def running(machine: Machine) -> Machine:
    if not (machine.data_dir / "platform.json").exists():
        machine.studiolo("up", "--detach")
    return machine


@pytest.mark.req("S0-01")
def test_make_dev_up_starts_everything_and_a_second_call_prints_the_address(machine: Machine) -> None:
    # The virtual environment that runs this test is installed: only the start is looked at.
    command = ("make", "-o", ".venv/.installed", "dev-up")
    for _ in range(2):
        done = machine.call(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert machine.address in done.stdout
        assert f"{machine.address}/sign-in?link=" in done.stdout
        assert "read everyone's files" in done.stdout
    assert machine.health() == 200


def test_up_with_json_prints_one_document_and_nothing_else_on_stdout(running: Machine) -> None:
    found = json.loads(running.studiolo("up", "--detach", "--json"))
    assert (found["address"], found["data_dir"]) == (running.address, str(running.data_dir))


def test_the_command_line_of_this_account_is_signed_in(running: Machine) -> None:
    assert json.loads(running.studiolo("whoami", "--json"))["is_admin"] is True


def test_platform_json_says_where_it_is(running: Machine) -> None:
    found = running.record("platform.json")
    assert (found["address"], found["port"]) == (running.address, running.port)
    assert set(found) == {"address", "port", "instance", "pid", "version"}


def test_a_second_up_in_the_foreground_names_the_first(running: Machine) -> None:
    said = running.studiolo("up", code=6)
    assert running.address in said
    assert str(running.record("platform.json")["pid"]) in said


def test_a_taken_port_is_refused_in_the_background_too(running: Machine) -> None:
    other = Machine(running.folder / "other", running.port)
    said = other.studiolo("up", "--detach", code=6)
    assert "is taken by caddy" in said
    assert f"hint: studiolo up --data-dir {other.data_dir} --port " in said


def test_two_platforms_run_side_by_side(running: Machine) -> None:
    other = Machine(running.folder / "beside", free_port())
    give_base(other.data_dir, small_lock())
    try:
        assert other.address in other.studiolo("up", "--detach")
        assert running.health() == other.health() == 200
        other.studiolo("create", "only-here")
        assert "only-here" in other.studiolo("list")
        assert "only-here" not in running.studiolo("list")
    finally:
        other.studiolo("down")
    assert running.health() == 200


def test_the_doctor_finds_nothing_wrong_while_it_runs(running: Machine) -> None:
    found = json.loads(running.studiolo("doctor", "--json"))
    assert all(set(result) == {"name", "status", "finding", "remedy"} for result in found)
    assert [result for result in found if result["status"] == "fail"] == []


@pytest.mark.parametrize(
    "part", ["control-plane", "front-door", "fork-server", "kernel-host", "file-host", "package-index"]
)
def test_a_killed_part_is_back_at_once(running: Machine, part: str) -> None:
    pid = running.record("processes.json")[part]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: running.record("processes.json")[part]["pid"] != pid)
    wait_for(running.answers)


def test_after_a_kill_of_the_supervisor_nothing_is_left_and_it_starts_again(running: Machine) -> None:
    parts = [entry["pid"] for entry in running.record("processes.json").values()]
    os.kill(running.record("platform.json")["pid"], signal.SIGKILL)
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in parts))
    running.studiolo("up", "--detach")
    assert running.health() == 200


def test_a_sign_in_link_is_all_that_stands_on_stdout(running: Machine) -> None:
    printed = running.studiolo("sign-in-link")
    assert printed.startswith(f"{running.address}/sign-in?link=")
    assert len(printed.splitlines()) == 1


def test_a_sign_in_link_leads_to_where_the_platform_runs(running: Machine) -> None:
    # In another terminal, nobody has set the port that it was started with.
    printed = running.call("env", "-u", "STUDIOLO_PORT", STUDIOLO, "sign-in-link").stdout
    assert printed.startswith(f"{running.address}/sign-in?link=")


def test_a_password_is_reset_from_the_machine(running: Machine) -> None:
    name = json.loads(running.studiolo("whoami", "--json"))["name"]
    running.studiolo("reset-password", name, "--password-stdin", stdin="correct horse battery\n")
    form = {"name": name, "password": "correct horse battery"}
    reply = httpx.post(f"http://127.0.0.1:{running.port}/api/v1/sign-in", json=form, headers=running.host)
    assert reply.status_code in (200, 201)


def test_a_password_that_nobody_can_type_is_asked_for_on_stdin(running: Machine) -> None:
    told = running.studiolo("reset-password", "ana", code=2)
    assert "--password-stdin" in told
    assert "Warning" not in told


def test_a_sign_in_link_for_nobody_is_refused(running: Machine) -> None:
    assert "error:" in running.studiolo("sign-in-link", "nobody-here", code=5)


def test_make_dev_down_stops_it(running: Machine) -> None:
    assert running.call("make", "-o", ".venv/.installed", "dev-down").returncode == 0
    assert not (running.data_dir / "platform.json").exists()


def test_stopping_what_is_stopped_succeeds(machine: Machine) -> None:
    machine.studiolo("down")
    assert json.loads(machine.studiolo("down", "--json"))["was_running"] is False


def test_the_doctor_works_while_it_is_down(machine: Machine) -> None:
    machine.studiolo("down")
    found = {result["name"]: result for result in json.loads(machine.studiolo("doctor", "--json"))}
    assert found["port"]["finding"].startswith(f"{machine.port} is free")
    with socket.create_server(("127.0.0.1", machine.port)):
        said = machine.studiolo("doctor", code=1)
    assert f"FAIL  port: Port {machine.port} is taken by" in said


def test_up_in_the_foreground_serves_with_a_local_authority_and_ends_with_ctrl_c(machine: Machine) -> None:
    machine.studiolo("down")
    argv = [STUDIOLO, "up", "--tls", "internal", "--json"]
    process = subprocess.Popen(argv, env=machine.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = [process.stdout.readline() for _ in range(2)]
    assert f'"address": "https://localhost:{machine.port}"' in printed[1], printed
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=40)
    assert (process.returncode, said.endswith("Stopped.\n")) == (0, True), said


def test_a_part_runs_alone(machine: Machine) -> None:
    machine.studiolo("down")
    argv = [STUDIOLO, "serve", "--role", "front-door"]
    process = subprocess.Popen(argv, env=machine.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", machine.port)) == 0

    wait_for(listens)
    process.terminate()
    assert process.wait(20) == 0
