"""`studiolo gateway` and `studiolo bridge` as people run them."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from jupyter_client.manager import KernelManager

from gateway.standing import KEY, SECONDS, Gateway, is_alive, running_gateway, send
from studiolo.testing.waiting import wait_for

STUDIOLO = Path(sys.executable).with_name("studiolo")


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sg-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def open_gateway() -> Iterator[Gateway]:
    with running_gateway("--open", "--allow-origin", "https://app.example", "--base-url", "/deep/b@se") as running:
        yield running


@pytest.mark.req("S1-16", "S1-24")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "https://app.example"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost:1"}, 200),
    ],
)
def test_an_open_gateway_answers_this_machines_programs_and_no_other_sites_pages(
    open_gateway: Gateway, headers: dict[str, str], status: int
) -> None:
    assert httpx.get(f"{open_gateway.url}/api/kernels", headers=headers).status_code == status
    answer = httpx.post(f"{open_gateway.url}/api/kernels", json={"name": "nothing"}, headers=headers)
    assert answer.status_code == (404 if status == 200 else status)


def test_addresses_lie_beneath_the_base_url_only(open_gateway: Gateway) -> None:
    assert open_gateway.url.endswith("/deep/b%40se")
    assert httpx.get(open_gateway.url.replace("/deep/b%40se", "/api")).status_code == 404
    assert httpx.get(open_gateway.url.replace("%40", "@") + "/api").status_code == 200
    logo = httpx.get(f"{open_gateway.url}/api/kernelspecs/python3").json()["resources"]["logo-64x64"]
    assert logo == "/deep/b%40se/kernelspecs/python3/logo-64x64.png"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_open_gateway_on_the_network_is_refused(address: str, tmp_path: Path) -> None:
    ran = _studiolo("gateway", "--open", "--host", address, "--data-dir", str(tmp_path))
    assert ran.returncode != 0
    assert "would let everybody on the network run code here" in ran.stderr


@pytest.mark.req("S1-26", "S1-18", "S1-35")
def test_each_keys_holder_has_kernels_of_their_own(tmp_path: Path) -> None:
    ann, ben = "ann-0123456789abcdef", "ben-0123456789abcdef"
    keys = tmp_path / "keys"
    keys.write_text(f"# who may\n{ann} Ann\n{ben} Ben\n")
    with running_gateway("--api-key-file", str(keys)) as gateway:
        assert gateway.http.get("/api").status_code == 401
        first, second = (
            httpx.Client(base_url=gateway.url, headers={"Authorization": f"token {key}"}, timeout=SECONDS)
            for key in (ann, ben)
        )
        with first, second:
            kernel = first.post("/api/kernels").json()["id"]
            assert first.get("/api/me").json()["identity"]["name"] == "Ann"
            assert second.get("/api/kernels").json() == []
            for method, address in (
                ("GET", ""),
                ("DELETE", ""),
                ("POST", "/interrupt"),
                ("POST", "/restart"),
                ("GET", "/channels"),
                ("GET", "/journal"),
                ("GET", "/log"),
            ):
                foreign = second.request(method, f"/api/kernels/{kernel}{address}")
                absent = second.request(method, f"/api/kernels/{kernel[::-1]}{address}")
                assert foreign.status_code == absent.status_code == 404
                assert foreign.json()["code"] == absent.json()["code"] == "kernel-not-found"


@pytest.mark.req("S1-25", "S1-X08")
def test_the_most_kernels_and_the_forced_one_are_held_to() -> None:
    with running_gateway("--max-kernels", "1", "--force-kernel", "python3", "--allow-env", "COLOUR") as gateway:
        kernel = gateway.start(name="whatever", env={"COLOUR": "red"})
        refused = gateway.http.post("/api/kernels")
        assert (refused.status_code, refused.json()["code"]) == (403, "limit-exceeded")
        assert send(gateway, kernel, "import os; print(os.environ['COLOUR'])") == "red\n"
        gateway.http.delete(f"/api/kernels/{kernel}")
        gateway.start()


def seed_notebook(folder: Path, *cells: str, language: str = "python") -> str:
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    cells_of_it = [{"cell_type": "markdown", "source": "raise"}, *code]
    file = folder / "seed.ipynb"
    file.write_text(
        json.dumps({"nbformat": 4, "metadata": {"kernelspec": {"language": language}}, "cells": cells_of_it})
    )
    return str(file)


@pytest.mark.req("S1-X08")
def test_a_seed_notebook_has_run_in_each_kernel_and_nothing_of_it_is_seen(folder: Path) -> None:
    seed = seed_notebook(folder, "import math\nprint('seeding')", "seeded = math.tau")
    with running_gateway("--seed", seed) as gateway:
        kernel = gateway.start()
        assert send(gateway, kernel, "print(round(seeded, 2), len(In))") == "6.28 2\n"
        gateway.http.post(f"/api/kernels/{kernel}/restart").raise_for_status()
        assert send(gateway, kernel, "print(round(seeded, 2))") == "6.28\n"


@pytest.mark.req("S1-X08")
def test_a_seed_that_fails_is_told_and_other_languages_have_none(folder: Path) -> None:
    with running_gateway("--seed", seed_notebook(folder, "1", "nowhere")) as gateway:
        refused = gateway.http.post("/api/kernels")
        assert (refused.status_code, refused.json()["code"]) == (500, "kernel-not-started")
        assert "cell 2 of the seed notebook failed: NameError" in refused.json()["message"]
        assert gateway.http.get("/api/kernels").json() == []
    with running_gateway("--seed", seed_notebook(folder, "nowhere", language="R")) as gateway:
        gateway.start()


@pytest.mark.req("S1-X08")
def test_kernels_inherit_what_is_named_and_pages_may_send_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANTED", "yes")
    monkeypatch.setenv("UNWANTED", "no")
    page = {"Origin": "https://app.example"}
    monkeypatch.setenv("KG_AUTH_TOKEN", "of another gateway")
    asked = ("--allow-header", "x-own", "--allow-method", "GET", "--allow-method", "POST", "--allow-credentials")
    asked += ("--expose-header", "x-seen", "--max-age", "60", "--inherit-env", "KG_AUTH_TOKEN")
    with running_gateway("--inherit-env", "WANTED", "--allow-origin", page["Origin"], *asked, "--ping", "5") as gateway:
        kernel = gateway.start()
        names = ("WANTED", "UNWANTED", "KG_AUTH_TOKEN")
        code = f"import os; print([os.environ.get(name) for name in {names}], bool(os.environ['PATH']))"
        assert send(gateway, kernel, code) == "['yes', None, None] True\n"
        preflight = httpx.options(f"{gateway.url}/api/kernels", headers=page).headers
        assert preflight["Access-Control-Allow-Methods"] == "GET, POST"
        assert preflight["Access-Control-Allow-Headers"].endswith(", x-own")
        assert preflight["Access-Control-Allow-Credentials"] == "true"
        assert preflight["Access-Control-Expose-Headers"] == "Location, x-seen"
        assert preflight["Access-Control-Max-Age"] == "60"


@pytest.mark.req("S1-X08", "S1-X10")
def test_with_all_variables_allowed_a_clients_value_goes_before_the_kernelspecs(folder: Path) -> None:
    with running_gateway("--allow-env", "*", "--no-list", folder=folder) as gateway:
        spec = {"name": "sized", "base": "python3", "env": {"SHADE": "dark", "HUE": "red"}}
        assert gateway.http.post("/studiolo/kernelspecs", json=spec).status_code == 201
        kernel = gateway.start(name="sized", env={"HUE": "blue"})
        assert send(gateway, kernel, "import os; print(os.environ['SHADE'], os.environ['HUE'])") == "dark blue\n"
        # Who knows an id reaches the kernel; nobody learns it here.
        assert gateway.http.get(f"/api/kernels/{kernel}").status_code == 200
        for address in ("/api/kernels", "/api/sessions"):
            refused = gateway.http.get(address)
            assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x00\xff\xff",
        b"POST /api/kernels HTTP/1.1\r\nHost: x\r\nAuthorization: token %s\r\nContent-Length: 9\r\n\r\n{"
        % KEY.encode(),
    ],
)
def test_who_sends_half_a_request_or_none_at_all_leaves_no_trace_in_the_log(sent: bytes) -> None:
    with running_gateway() as gateway:
        where = httpx.URL(gateway.url)
        with socket.create_connection((where.host, where.port or 0)) as client:
            client.sendall(sent)
        assert gateway.http.get("/api/kernels").json() == []
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(SECONDS)
        assert gateway.process.stderr is not None
        assert "Traceback" not in gateway.process.stderr.read()


def test_a_key_is_made_once_kept_private_and_shown_once(folder: Path) -> None:
    file = folder / "data" / "api-key"
    with running_gateway(folder=folder, key="") as gateway:
        key = file.read_text().strip()
        assert f"API key: {key}" in gateway.said
        assert httpx.get(f"{gateway.url}/api", headers={"Authorization": f"token {key}"}).status_code == 200
    assert file.stat().st_mode & 0o077 == 0
    with running_gateway(folder=folder, key="") as gateway:
        assert key not in gateway.said
        assert str(file) in gateway.said


def test_json_tells_programs_where_it_listens(folder: Path) -> None:
    argv = [str(STUDIOLO), "gateway", "--json", "--open", "--port", "0", "--data-dir", str(folder / "data")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert httpx.get(f"{told['url']}/api/kernels").json() == []
        assert told["key"] is None
        process.terminate()
        assert process.wait(SECONDS) == 0


def test_ctrl_c_ends_the_gateway_and_its_kernels() -> None:
    with running_gateway() as gateway:
        kernel = gateway.start()
        pid = json.loads((gateway.folder / "data" / "kernels" / kernel / "shim.json").read_text())["kernel_pid"]
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(SECONDS) == 0
        wait_for(lambda: not is_alive(pid))
        # Neither sockets nor what the kernel was told.
        assert not list((gateway.folder / "run").iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--api-key-file", "/nowhere"), "cannot be used"),
        (("--root", "/nowhere"), "There is no folder"),
        (("--seed", "/nowhere"), "cannot be read"),
        (("--seed", __file__), "is no notebook"),
        (("--port", "99999"), "--port"),
    ],
)
def test_wrong_flags_are_told_in_words(flags: tuple[str, ...], words: str, tmp_path: Path) -> None:
    ran = _studiolo("gateway", *flags, "--data-dir", str(tmp_path / "d"))
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.req("S1-12", "S1-22")
def test_a_bridge_starts_one_kernel_and_ends_with_it() -> None:
    with running_gateway("--kernel-name", "python", command=("bridge",)) as bridge:
        only = bridge.http.get("/api/kernels").json()[0]["id"]
        assert bridge.start(name="python3") == bridge.start() == only
        assert send(bridge, only, "print(6 * 7)") == "42\n"
        bridge.http.delete(f"/api/kernels/{only}")
        assert bridge.process.wait(SECONDS) == 0


@pytest.mark.req("S1-12", "S1-15")
def test_a_bridge_joins_a_kernel_that_somebody_else_started() -> None:
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel()
    try:
        with running_gateway("--connection-file", kernel.connection_file, command=("bridge",)) as bridge:
            only = bridge.start()
            assert send(bridge, only, "x = 42") == ""
            assert bridge.http.get("/api/kernelspecs").json()["default"]
        # The bridge is gone, the kernel is not.
        assert kernel.is_alive()
        with running_gateway("--connection-file", kernel.connection_file, command=("bridge",)) as bridge:
            assert send(bridge, bridge.start(), "print(x)") == "42\n"
    finally:
        kernel.shutdown_kernel(now=True)
        kernel.context.destroy(linger=0)


def test_without_the_extra_the_commands_say_what_to_install() -> None:
    code = "import sys; sys.modules['aiohttp'] = None; from studiolo.cli.main import run; sys.exit(run('studiolo', ['gateway']))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 8
    assert 'pip install "studiolo[gateway]"' in ran.stderr


def test_the_gateway_imports_nothing_that_only_the_platform_has() -> None:
    code = "import sys, studiolo.gateway.commands, studiolo.gateway.host; print(*{'fastapi', 'sqlalchemy', 'structlog', 'psutil'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert ran.stdout.strip() == ""


def _studiolo(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(STUDIOLO), *words], capture_output=True, text=True, timeout=SECONDS, check=False)
