"""Kernels of a session and headless ones through a whole platform, while its parts are killed around them."""

import json
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from e2e.conftest import Platform
from e2e.kernels import channels, execute, send
from e2e.test_survival import Running
from studiolo.testing.waiting import is_gone, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

K = "/api/v1/kernels"
COUNT = """
import pathlib, time
for number in range(2000):
    print(number, flush=True)
    if number == 200:
        pathlib.Path({folder!r}, 'begun').touch()
    if pathlib.Path({folder!r}, 'enough').exists() and number > 400:
        break
    time.sleep(0.01)
print('last', number, flush=True)
"""


@pytest.fixture(scope="module")
def client(platform: Platform) -> httpx.Client:
    return platform.client()


class Headless:
    """A headless kernel, used with a gateway key, as a stock client does."""

    def __init__(self, platform: Platform, client: httpx.Client, name: str) -> None:
        self.platform = platform
        self.client = client
        client.post("/api/v1/jupyter/workspaces", json={"name": name})
        made = client.post("/api/v1/me/keys", json={"name": name, "kind": "gateway", "workspace": name}).json()
        self.key, self.key_id = made["key"], made["id"]
        self.folder = Path(client.get(f"/api/v1/jupyter/workspaces/{name}").json()["path"])
        self.gateway = httpx.Client(
            base_url=platform.address, headers={"Authorization": f"token {self.key}"}, timeout=60
        )
        reply = self.gateway.post("/api/kernels", json={"name": "python"})
        assert reply.status_code == 201, reply.text
        self.id = reply.json()["id"]

    def connect(self) -> Any:
        address = self.platform.address.replace("http", "ws", 1)
        url = f"{address}/api/kernels/{self.id}/channels?token={self.key}"
        return connect(url, max_size=None, open_timeout=30)

    def printed(self) -> str:
        """All that it printed, from its journal."""
        text, after, more = "", 0, True
        while more:
            page = self.client.get(f"{K}/{self.id}/output", params={"after": after}).json()
            after, more = page["next"], page["more"]
            for entry in page["entries"]:
                assert "gap" not in entry, entry
                message = entry["message"]
                if message["header"]["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                    text += message["content"]["text"]
        return text

    def close(self) -> None:
        self.client.post(f"{K}/{self.id}/stop")
        self.gateway.close()


@pytest.fixture
def headless(platform: Platform, client: httpx.Client) -> Iterator[Headless]:
    made = Headless(platform, client, f"headless-{uuid.uuid4().hex[:8]}")
    yield made
    made.close()


@pytest.mark.req("S1-01", "S1-13", "S1-29")
def test_a_headless_kernel_is_started_used_and_stopped_with_a_gateway_key(
    headless: Headless, client: httpx.Client
) -> None:
    with headless.connect() as socket:
        assert execute(socket, "print(6 * 7)").strip() == "42"
        assert execute(socket, "import os; print(os.getcwd())").strip() == str(headless.folder)
    wait_for(lambda: client.get(f"{K}/{headless.id}").json()["state"] == "idle", "it is shown idle")
    shown = client.get(f"{K}/{headless.id}").json()
    assert (shown["name"], shown["session_id"]) == ("python3", None)
    assert shown["environment"].startswith("sha256:")
    assert "42" in headless.printed()
    assert client.post(f"{K}/{headless.id}/stop").status_code == 200
    wait_for(lambda: client.get(f"{K}/{headless.id}").json()["state"] == "ended", "it has ended")
    assert client.get(f"{K}/{headless.id}").json()["reason"]["code"] == "stopped-by-person"


@pytest.mark.req("S1-36")
def test_a_sessions_server_and_the_gateway_are_one_service(
    platform: Platform, headless: Headless, client: httpx.Client
) -> None:
    running = Running(platform, client, f"one-{uuid.uuid4().hex[:8]}")
    running.finish()
    alone = f"/w/{client.get(f'{K}/{headless.id}').json()['workspace']['id']}"
    for place, kernel in ((f"/s/{running.id}", running.kernel), (alone, headless.id)):
        shown = client.get(f"{place}/api/kernels/{kernel}").json()
        assert (shown["id"], shown["name"]) == (kernel, "python3")
        with channels(client, "", kernel, place=place) as socket:
            assert execute(socket, "print('by', 'websocket')") == "by websocket\n"
        # What a Jupyter server has not, both have: each published message by its number.
        kept = client.get(f"{place}/api/kernels/{kernel}/journal", params={"after": 0})
        assert kept.status_code == 200, kept.text
        assert "by websocket" in kept.text
        assert client.get(f"{place}/api/kernelspecs").json()["default"] == "python3"
        assert client.post(f"{place}/api/kernels/{kernel}/interrupt").status_code == 204


@pytest.mark.req("S1-04", "S1-08")
def test_a_kernelspec_is_made_for_a_workspace_used_and_removed(headless: Headless, client: httpx.Client) -> None:
    workspace = client.get(f"{K}/{headless.id}").json()["workspace"]["id"]
    at = f"/api/v1/workspaces/{workspace}/kernelspecs"
    form = {
        "name": "loud",
        "display_name": "Loud",
        "variables": {"VOLUME": "11", "KERNEL_USERNAME": "root"},
        "memory": "1g",
        "metadata": {"a": 1},
    }
    made = client.post(at, json=form)
    assert (made.status_code, made.json()["base"]) == (201, "python3"), made.text
    assert client.post(at, json=form).json()["code"] == "kernelspec-exists"
    offered = headless.gateway.get("/api/kernelspecs").json()["kernelspecs"]["loud"]
    assert offered["spec"]["display_name"] == "Loud"
    assert offered["spec"]["metadata"]["a"] == 1
    assert offered["spec"]["env"]["VOLUME"] == "11"
    assert "KERNEL_USERNAME" not in offered["spec"]["env"]
    kernel = headless.gateway.post("/api/kernels", json={"name": "loud"}).json()
    assert client.get(f"{K}/{kernel['id']}").json()["resources"]["memory"] == 1 << 30
    first, headless.id = headless.id, kernel["id"]
    with headless.connect() as socket:
        assert execute(socket, "import os; print(os.environ['VOLUME'])").strip() == "11"
    client.post(f"{K}/{kernel['id']}/stop")
    headless.id = first
    assert client.delete(f"{at}/loud").status_code == 204
    assert client.delete(f"{at}/loud").json()["code"] == "kernelspec-not-found"
    assert "loud" not in headless.gateway.get("/api/kernelspecs").json()["kernelspecs"]
    happened = client.get(f"/api/v1/jupyter/workspaces/{workspace}/activity").json()["items"]
    assert {"kernelspec.create", "kernelspec.remove"} <= {one["action"] for one in happened}


@pytest.mark.req("S1-26")
def test_a_revoked_gateway_key_loses_its_open_sockets(headless: Headless, client: httpx.Client) -> None:
    with headless.connect() as socket:
        assert execute(socket, "print(1)").strip() == "1"
        client.delete(f"/api/v1/me/keys/{headless.key_id}").raise_for_status()
        assert _is_closed_within(socket, 5)
    assert headless.gateway.get("/api/kernels").status_code == 401


def _is_closed_within(socket: ClientConnection, seconds: float) -> bool:
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            socket.recv(seconds)
    except ConnectionClosed:
        return True
    except TimeoutError:
        pass
    return False


@pytest.mark.parametrize("part", ["gateway.host", "studiolo.server.main", "caddy"])
def test_no_output_of_a_headless_kernel_is_lost_while_a_part_is_killed(headless: Headless, part: str) -> None:
    with headless.connect() as socket:
        execute(socket, "x = 41")
        send(socket, COUNT.format(folder=str(headless.folder)))
        wait_for((headless.folder / "begun").exists, "the cell prints")
        headless.platform.kill(headless.platform.part(part))
    headless.platform.wait_up()
    (headless.folder / "enough").touch()
    wait_for(lambda: "last" in _printed(headless), "the cell's output is all there", 60)
    numbers = [int(line) for line in headless.printed().split("last")[0].split()]
    assert numbers == list(range(len(numbers)))
    with headless.connect() as socket:
        assert execute(socket, "print(x + 1)").strip() == "42"


def _printed(headless: Headless) -> str:
    """What it printed, or nothing while a part of the platform starts again."""
    try:
        return headless.printed()
    except (httpx.HTTPError, KeyError):
        return ""


@pytest.mark.req("S1-37")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_notebook_and_kernel_are_joined_again_when_the_sessions_server_ends_in_mid_cell(
    platform: Platform, client: httpx.Client, number: signal.Signals
) -> None:
    running = Running(platform, client, f"server-{number.name.lower()}")
    base = f"/s/{running.id}/api"
    document = {"path": "notebooks/a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"id": running.kernel}}
    made = client.post(f"{base}/sessions", json=document)
    assert made.status_code == 201, made.text
    server, kernel = running.server(), running.kernel_process()
    server.send_signal(number)
    wait_for(lambda: is_gone(server), "the server ends")
    wait_for(lambda: _answers(client, f"{base}/contents"), "the session's server is back")
    assert running.server().pid != server.pid
    joined = client.get(f"{base}/sessions").json()
    assert [(one["path"], one["kernel"]["id"]) for one in joined] == [("notebooks/a.ipynb", running.kernel)]
    assert running.kernel_process() == kernel
    running.finish()
    shown = running.get()
    assert (shown["state"], shown["launch"]) == ("running", 1)


def _answers(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code == 200


def test_ending_a_session_ends_its_kernels_and_says_so(platform: Platform, client: httpx.Client) -> None:
    running = Running(platform, client, "ends-kernels")
    kernel = running.kernel_process()
    assert kernel is not None
    shown = client.get(f"{K}/{running.kernel}").json()
    assert (shown["session_id"], shown["api_url"]) == (running.id, f"{platform.address}/s/{running.id}/")
    client.post(f"/api/v1/jupyter/sessions/{running.id}/stop", params={"wait": 60})
    wait_for(lambda: not kernel.is_running(), "the kernel ends with its session")
    wait_for(lambda: client.get(f"{K}/{running.kernel}").json()["state"] == "ended", "its end is told")


def test_a_headless_kernel_outlives_the_platform_and_ends_with_it_if_asked_to(
    restored: Platform, client: httpx.Client
) -> None:
    platform, headless = restored, Headless(restored, client, "outlives")
    with headless.connect() as socket:
        execute(socket, "x = 41")
    shim = json.loads((platform.data_dir / "kernels" / headless.id / "shim.json").read_text())
    process = psutil.Process(shim["kernel_pid"])
    platform.run("down")
    assert process.is_running()
    platform.up()
    with headless.connect() as socket:
        assert execute(socket, "print(x + 1)").strip() == "42"
    headless.gateway.close()
    platform.run("down", "--stop-sessions")
    wait_for(lambda: not process.is_running(), "the kernel ends with the platform")


def test_a_running_cell_of_a_session_is_seen_and_its_notebook_named(platform: Platform, client: httpx.Client) -> None:
    running = Running(platform, client, "is-seen")
    document = {"path": "notebooks/a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"id": running.kernel}}
    client.post(f"/s/{running.id}/api/sessions", json=document)
    wait_for(lambda: (running.get()["activity"] or {}).get("busy_kernels") == 1, "the busy kernel is seen")  # type: ignore[attr-defined]
    wait_for(lambda: running.get()["activity"]["notebook"] == "notebooks/a.ipynb", "its notebook is named")  # type: ignore[index]
    with channels(client, running.id, running.kernel):
        wait_for(lambda: running.get()["activity"]["connections"] == 1, "the connection is seen")  # type: ignore[index]
    running.finish()
