"""What is still true after a host was stopped or killed, and what it does with what it finds."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.standing import Gateway, is_alive, running_gateway, send
from studiolo.testing.waiting import wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sg-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.req("S1-15")
def test_kernel_notebook_variables_and_output_outlive_a_killed_host(folder: Path) -> None:
    with running_gateway("--keep", folder=folder) as gateway:
        body = {"path": "n.ipynb", "name": "n.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        session = gateway.http.post("/api/sessions", json=body).json()
        kernel = session["kernel"]["id"]
        send(gateway, kernel, "x = 41")
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
    with running_gateway("--keep", folder=folder) as gateway:
        assert gateway.http.get("/api/sessions").json()[0]["kernel"]["id"] == kernel
        assert gateway.http.post("/api/sessions", json=body).json()["id"] == session["id"]
        assert send(gateway, kernel, "print(x + 1)") == "42\n"
        numbers = [entry["number"] for entry in journal(gateway, kernel) if "number" in entry]
        assert numbers == sorted(set(numbers))
        restarted = gateway.http.post(f"/api/kernels/{kernel}/restart")
        assert restarted.status_code == 200, restarted.text
        assert send(gateway, kernel, "print('x' in dir())") == "False\n"
        gateway.http.delete(f"/api/sessions/{session['id']}")


def test_a_stopped_gateway_ends_its_kernels_unless_it_shall_keep_them(folder: Path) -> None:
    with running_gateway("--keep", folder=folder) as gateway:
        kernel = gateway.start()
    pid = kernel_pid(folder, kernel)
    assert is_alive(pid)
    with running_gateway(folder=folder) as gateway:
        assert [one["id"] for one in gateway.http.get("/api/kernels").json()] == [kernel]
    wait_for(lambda: not is_alive(pid))


def test_a_kernel_that_ended_while_no_host_ran_is_found_dead_with_its_output(folder: Path) -> None:
    with running_gateway("--keep", folder=folder) as gateway:
        kernel = gateway.start()
        send(gateway, kernel, "print('last words')")
    pid = kernel_pid(folder, kernel)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: (folder / "data" / "kernels" / kernel / "exit.json").exists())
    with running_gateway(folder=folder) as gateway:
        shown = gateway.http.get(f"/api/kernels/{kernel}").json()
        assert (shown["execution_state"], bool(shown["reason"])) == ("dead", True)
        assert "last words" in json.dumps(journal(gateway, kernel))
        # Whoever opens the notebook's menu can have it started anew, under the same id.
        assert gateway.http.post(f"/api/kernels/{kernel}/restart").status_code == 200
        assert send(gateway, kernel, "print('again')") == "again\n"


def test_two_hosts_never_have_the_same_kernels(folder: Path) -> None:
    second = running_gateway(folder=folder)
    with running_gateway(folder=folder), pytest.raises(AssertionError, match="has the kernels"), second:
        pass


def test_what_is_kept_on_disk_of_a_kernel_holds_none_of_its_variables(folder: Path) -> None:
    with running_gateway(folder=folder) as gateway:
        kernel = gateway.start(env={"KERNEL_SECRET": "do-not-keep-me"})
        assert send(gateway, kernel, "import os; print(os.environ['KERNEL_SECRET'][3:6])") == "not\n"
    # Read once nothing writes any more: a file in the making is renamed under its reader.
    files = [file for file in (folder / "data").rglob("*") if file.is_file()]
    assert (folder / "data" / "kernels" / kernel / "kernel.json") in files
    assert not [file for file in files if b"do-not-keep-me" in file.read_bytes()]


def test_idle_kernels_are_ended_and_busy_ones_are_not() -> None:
    with running_gateway("--cull-idle", "2") as gateway:
        idle, busy = gateway.start(), gateway.start()
        send(gateway, busy, "import time\nprint('on', flush=True)\ntime.sleep(600)", wait=False)
        wait_for(lambda: gateway.http.get(f"/api/kernels/{idle}").status_code == 404)
        assert gateway.http.get(f"/api/kernels/{busy}").json()["execution_state"] == "busy"


def test_a_kernel_that_dies_is_told_with_its_reason(folder: Path) -> None:
    with running_gateway(folder=folder) as gateway:
        kernel = gateway.start()
        die(gateway, kernel)
        wait_for(lambda: gateway.http.get(f"/api/kernels/{kernel}").json()["execution_state"] == "dead")
        assert gateway.http.get(f"/api/kernels/{kernel}").json()["reason"]
        assert gateway.http.post(f"/api/kernels/{kernel}/interrupt").json()["code"] == "kernel-ended"


def test_a_notebooks_kernel_that_dies_is_started_anew_and_its_cell_says_why(folder: Path) -> None:
    with running_gateway(folder=folder) as gateway:
        body = {"path": "n.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        session = gateway.http.post("/api/sessions", json=body).json()
        kernel = session["kernel"]["id"]
        die(gateway, kernel)
        wait_for(lambda: '"restarting"' in json.dumps(journal(gateway, kernel)))
        assert send(gateway, kernel, "print('os' in dir())") == "False\n"
        assert "was killed" in json.dumps(journal(gateway, kernel))
        assert gateway.http.get("/api/sessions").json()[0]["kernel"]["execution_state"] in ("idle", "starting")


def test_a_dead_kernel_is_restarted_under_its_id(folder: Path) -> None:
    with running_gateway(folder=folder) as gateway:
        kernel = gateway.start()
        die(gateway, kernel)
        wait_for(lambda: gateway.http.get(f"/api/kernels/{kernel}").json()["execution_state"] == "dead")
        assert gateway.http.post(f"/api/kernels/{kernel}/restart").status_code == 200
        assert send(gateway, kernel, "print('again')") == "again\n"
        numbers = [entry["number"] for entry in journal(gateway, kernel) if "number" in entry]
        assert numbers == sorted(set(numbers))


def die(gateway: Gateway, kernel: str) -> None:
    """Have a kernel die in a cell once the host has what it said before: the kill takes what its threads still hold."""
    go = gateway.folder / "root" / f"die-{kernel}"
    waiting = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    send(gateway, kernel, f"{waiting}\nos.unlink({str(go)!r})\nos.kill(os.getpid(), 9)", wait=False)
    go.touch()


def journal(gateway: Gateway, kernel: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = gateway.http.get(f"/api/kernels/{kernel}/journal").json()["entries"]
    return entries


def kernel_pid(folder: Path, kernel: str) -> int:
    return int(json.loads((folder / "data" / "kernels" / kernel / "shim.json").read_text())["kernel_pid"])
