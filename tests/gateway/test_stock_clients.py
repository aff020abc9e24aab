"""Clients that know nothing of us, as they come from PyPI and npm."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import pytest

from gateway.standing import KEY, Gateway, running_gateway

SERVICES = "7.6.6"
SECONDS = 60
_HERE = Path(__file__).parent / "stock"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running_gateway() as running:
        yield running


@pytest.fixture(scope="module")
def services(pytestconfig: pytest.Config) -> Path:
    """A folder with JupyterLab's own client for Node, installed once."""
    if shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("npm is missing; `make test` installs it as root")
        pytest.skip("npm is not installed; `make test` installs it as root")
    folder = Path(pytestconfig.cache.mkdir("node")) / f"services-{SERVICES}"
    if not (folder / "node_modules" / "@jupyterlab" / "services").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        argv = ["npm", "install", "--no-audit", "--no-fund", "--silent", f"@jupyterlab/services@{SERVICES}"]
        subprocess.run(argv, cwd=folder, check=True, timeout=170)
    return folder


@pytest.mark.req("S1-20", "S1-32", "S1-14", "S4-35")
def test_jupyterlabs_client_runs_asks_reconnects_interrupts_and_restarts(gateway: Gateway, services: Path) -> None:
    env = {**os.environ, "NODE_PATH": str(services / "node_modules")}
    ran = _run(["node", str(_HERE / "services.js"), gateway.url, KEY], env)
    seen = json.loads(ran.splitlines()[-1])
    assert seen == {
        "default": "python3",
        "executed": {"text": "21\n", "status": "ok"},
        "asked": {"text": "told\n", "status": "ok"},
        "reconnected": {"text": "20\n", "status": "ok"},
        "other": {"text": "22\n", "status": "ok"},
        "interrupted": "KeyboardInterrupt",
        "restarted": {"text": "False\n", "status": "ok"},
        "path": "renamed.ipynb",
        "left": False,
    }


@pytest.mark.req("S1-X09", "S1-21", "S1-34", "S4-35")
async def test_an_unmodified_jupyter_server_takes_its_kernels_from_here(gateway: Gateway, tmp_path: Path) -> None:
    with jupyter_server(gateway, tmp_path) as server:
        async with aiohttp.ClientSession(server, headers={"Authorization": "token t"}) as http:
            async with http.get("/api/kernelspecs") as reply:
                assert (await reply.json())["default"] == "python3"
            body = {"path": "n.ipynb", "name": "n.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
            async with http.post("/api/sessions", json=body) as reply:
                assert reply.status == 201, await reply.text()
                kernel = (await reply.json())["kernel"]["id"]
            assert gateway.http.get(f"/api/kernels/{kernel}").status_code == 200
            async with http.ws_connect(f"/api/kernels/{kernel}/channels") as socket:
                assert await execute(socket, "print(6 * 7)") == "42\n"
            async with http.post(f"/api/kernels/{kernel}/restart") as reply:
                assert reply.status == 200
            async with http.delete(f"/api/kernels/{kernel}") as reply:
                assert reply.status == 204
            assert gateway.http.get(f"/api/kernels/{kernel}").status_code == 404


@pytest.mark.req("S1-13", "S1-24")
@pytest.mark.parametrize("script", ["run_notebook.py", "run_papermill.py"])
def test_notebooks_are_executed_by_nbclient_and_papermill(script: str, tmp_path: Path) -> None:
    # jupyter_server's blocking client sends no key on its websocket: it needs an open gateway.
    with running_gateway("--open") as gateway:
        env = {**os.environ, "JUPYTER_GATEWAY_URL": gateway.url}
        assert _run([sys.executable, str(_HERE / script), str(tmp_path)], env).strip() == "42"
        assert gateway.http.get("/api/kernels").json() == []


@pytest.mark.req("S1-X05")
@pytest.mark.parametrize("with_key", ["header", "query"])
async def test_a_raw_websocket_in_the_json_protocol_runs_code(gateway: Gateway, with_key: str) -> None:
    kernel = gateway.start()
    headers = {"Authorization": f"Bearer {KEY}"} if with_key == "header" else {}
    query = "" if with_key == "header" else f"?token={KEY}"
    address = f"{gateway.websocket_url}/api/kernels/{kernel}/channels{query}"
    async with aiohttp.ClientSession() as http, http.ws_connect(address, headers=headers) as socket:
        assert await execute(socket, "print('hello')") == "hello\n"
    gateway.http.delete(f"/api/kernels/{kernel}")


def test_what_vs_code_calls_to_connect_is_answered(gateway: Gateway) -> None:
    """The Jupyter extension, "Existing Jupyter Server": the key in the address, then these calls."""
    with httpx.Client(base_url=gateway.url, params={"token": KEY}, timeout=SECONDS) as client:
        assert client.get("/api").json()["version"]
        assert client.get("/api/kernelspecs").json()["kernelspecs"]["python3"]["spec"]["language"] == "python"
        assert client.get("/api/sessions").json() == []
        assert client.get("/api/kernels").json() == []
        # It makes a session under a name of its own before it has a notebook, then moves it.
        body = {"path": f"n-jvsc-{uuid4()}.ipynb", "name": "n.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        session = client.post("/api/sessions", json=body).json()
        moved = client.patch(
            f"/api/sessions/{session['id']}", json={"path": "n.ipynb", "name": "n.ipynb", "type": "notebook"}
        )
        assert moved.json()["kernel"]["id"] == session["kernel"]["id"]
        assert client.post(f"/api/kernels/{session['kernel']['id']}/interrupt").status_code == 204
        assert client.post(f"/api/kernels/{session['kernel']['id']}/restart").status_code == 200
        assert client.delete(f"/api/sessions/{session['id']}").status_code == 204


def test_what_pycharm_calls_to_connect_is_answered(gateway: Gateway) -> None:
    """A configured Jupyter server: the key as `token`, kernels looked for by specs, a session per notebook."""
    with httpx.Client(base_url=gateway.url, headers={"Authorization": f"token {KEY}"}, timeout=SECONDS) as client:
        assert client.get("/api/status").status_code == 200
        assert client.get("/api/kernelspecs/").json()["default"] == "python3"
        session = client.post(
            "/api/sessions", json={"kernel": {"name": "python3", "id": "foo"}, "notebook": {"path": "p.ipynb"}}
        ).json()
        assert (session["path"], session["type"]) == ("p.ipynb", "notebook")
        assert client.get(f"/api/sessions/{session['id']}").json()["kernel"]["id"] == session["kernel"]["id"]
        assert client.delete(f"/api/sessions/{session['id']}").status_code == 204


@contextmanager
def jupyter_server(gateway: Gateway, folder: Path, **variables: str) -> Iterator[str]:
    """Run `jupyter server --gateway-url`, unmodified; yields its address."""
    argv = [sys.executable, "-m", "jupyter_server", f"--gateway-url={gateway.url}", "--ServerApp.port=0"]
    argv += ["--no-browser", "--allow-root", "--IdentityProvider.token=t", f"--ServerApp.root_dir={folder}"]
    env = {**os.environ, "JUPYTER_GATEWAY_AUTH_TOKEN": KEY, "JUPYTER_RUNTIME_DIR": str(folder / "run")} | variables
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, env=env, stderr=log)
    try:
        yield _address(folder / "run", process)
    finally:
        process.terminate()
        process.wait(SECONDS)


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        threading.Event().wait(0.05)
        for file in folder.glob("jpserver-*.json"):
            port = json.loads(file.read_text()).get("port")
            try:
                httpx.get(f"http://127.0.0.1:{port}/api", timeout=1)
            except httpx.TransportError:
                continue
            return f"http://127.0.0.1:{port}"
    raise AssertionError("the Jupyter server did not start")


async def execute(socket: aiohttp.ClientWebSocketResponse, code: str) -> str:
    """Run code by the JSON protocol and return what it printed, once it is idle and was answered."""
    header = {"msg_id": uuid4().hex, "msg_type": "execute_request", "session": "raw", "username": "", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message: dict[str, Any] = {
        "channel": "shell",
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
    }
    await socket.send_json(message)
    text, missing = "", {"reply", "idle"}
    async with asyncio.timeout(SECONDS):
        while missing:
            got = json.loads(await socket.receive_str())
            if got["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            kind = got["header"]["msg_type"]
            if kind == "stream":
                text += got["content"]["text"]
            missing -= {"reply"} if kind == "execute_reply" else set()
            missing -= {"idle"} if got["content"].get("execution_state") == "idle" else set()
    return text


def _run(argv: list[str], env: dict[str, str]) -> str:
    ran = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
