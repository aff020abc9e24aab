"""What sessions tell and what ends them, from outside: streams through the front door, memory, lost access, kills."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from e2e.conftest import Platform, fresh
from e2e.kernels import channels, execute, send, start_kernel
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

W, S = "/api/v1/jupyter/workspaces", "/api/v1/jupyter/sessions"
MIB = 1024**2


@pytest.fixture(scope="module")
def ana(platform: Platform) -> httpx.Client:
    """The administrator, who owns the workspace of these tests."""
    client = platform.client()
    client.post(W, json={"name": "in-full"})
    return client


class Leo:
    """Another person, signed in with a browser at the bare address."""

    def __init__(self, platform: Platform, ana: httpx.Client) -> None:
        self.name = fresh("leo")
        link = ana.post("/api/v1/people", json={"name": self.name, "display_name": "Leo"}).json()["url"]
        self.origin = f"http://127.0.0.1:{platform.port}"
        self.browser = httpx.Client(base_url=self.origin, headers={"Origin": self.origin}, timeout=30)
        token = link.partition("link=")[2]
        assert self.browser.post("/sign-in/link", data={"link": token, "next": "/"}).status_code == 303
        page = self.browser.get("/account").text
        found = re.search(r'name="csrf"[^>]*value="([^"]+)"', page)
        assert found is not None
        self._csrf = found[1]

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.browser.post(path, headers={"X-CSRF-Token": self._csrf}, **options)

    def cookies(self) -> dict[str, str]:
        """Headers of a websocket of this browser."""
        cookie = "; ".join(f"{c.name}={c.value}" for c in self.browser.cookies.jar)
        return {"Cookie": cookie, "Origin": self.origin}


@pytest.fixture(scope="module")
def leo(platform: Platform, ana: httpx.Client) -> Iterator[Leo]:
    person = Leo(platform, ana)
    yield person
    person.browser.close()


@contextmanager
def events(client: httpx.Client, path: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """Open a stream; yields its events as (name, text)."""

    def read(reply: httpx.Response) -> Iterator[tuple[str, str]]:
        name = ""
        for line in reply.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, line.removeprefix("data: ")

    with client.stream("GET", path, timeout=60) as reply:
        assert reply.status_code == 200, reply.read()
        yield read(reply)


def names_until_cut(stream: Iterator[tuple[str, Any]]) -> list[str]:
    """Read a stream that ends without a word."""
    names = []
    with suppress(httpx.HTTPError):
        for name, _ in stream:
            names.append(name)
    return names


def launch(client: httpx.Client, **body: Any) -> dict[str, Any]:
    made = client.post(S, json={"workspace": "in-full", **body}, params={"wait": 60}).json()
    assert made["state"] == "running", made
    return dict(made)


def stop(client: httpx.Client, session: dict[str, Any]) -> dict[str, Any]:
    return dict(client.post(f"{S}/{session['id']}/stop", params={"wait": 60}).json())


def test_a_start_is_told_as_it_goes_through_the_front_door(ana: httpx.Client) -> None:
    session = ana.post(S, json={"workspace": "in-full"}).json()
    with events(ana, f"{S}/{session['id']}/progress") as stream:
        told = [(name, json.loads(text)) for name, text in stream]
    assert {name for name, _ in told} == {"session"}
    states = [seen["state"] for _, seen in told]
    assert states[-1] == "running"
    assert set(states) <= {"starting", "running"}
    assert stop(ana, session)["state"] == "stopped"


def test_a_log_is_followed_unbuffered_to_its_end(ana: httpx.Client) -> None:
    session = launch(ana)
    with events(ana, f"{S}/{session['id']}/log/stream?lines=5") as stream:
        assert ana.get(f"/s/{session['id']}/api/contents/not-there.txt").status_code == 404
        # The server writes what it refuses to its log; it comes while the session runs.
        assert any("not-there.txt" in text for name, text in stream if name == "line")
        stop(ana, session)
        assert [name for name, _ in stream][-1] == "end"


def test_usage_tells_limits_and_what_is_used_now(ana: httpx.Client) -> None:
    session = launch(ana, resources={"cpu": 1, "memory": "1g"})
    with channels(ana, session["id"], start_kernel(ana, session["id"])) as socket:
        told = execute(socket, "import os; print(os.environ['MEM_LIMIT'], os.environ['CPU_LIMIT'])")
    assert told.split() == [str(1024 * MIB), "1"]
    usage = ana.get(f"{S}/{session['id']}/usage").json()
    assert usage["limits"] == {**usage["limits"], "cpu": 1, "memory": 1024 * MIB}
    assert usage["now"]["memory"] > 10 * MIB
    assert usage["enforcement"]["note"]
    stop(ana, session)


def test_a_kernel_out_of_memory_is_told_within_five_seconds(ana: httpx.Client) -> None:
    session = launch(ana, resources={"memory": "300m"})
    if not ana.get(f"{S}/{session['id']}/usage").json()["enforcement"]["memory"].startswith("cgroup"):
        stop(ana, session)
        pytest.skip("this machine limits no memory by control groups")
    kernel = start_kernel(ana, session["id"])
    with channels(ana, session["id"], kernel) as socket:
        execute(socket, "x = 1")
        send(socket, "held = bytearray(900 * 1024 * 1024)\nheld[:] = b'x' * len(held)")
        death = wait_for(lambda: ana.get(f"{S}/{session['id']}").json()["last_death"], "the death is told")
        assert datetime.now(UTC) - datetime.fromisoformat(death["at"]) < timedelta(seconds=5)
    assert death["what"] in ("kernel", "processes")
    assert death["limit"] == 300 * MIB
    assert "studiolo scale in-full --memory" in death["message"]
    assert ana.get(f"{S}/{session['id']}").json()["state"] == "running"
    recorded = [event for event in ana.get("/api/v1/audit").json()["items"] if session["id"] in str(event)]
    assert [event["action"] for event in recorded].count("session.out-of-memory") == 1
    stop(ana, session)


def test_a_command_from_outside_counts_as_a_running_job(ana: httpx.Client) -> None:
    session = launch(ana)
    address = str(ana.base_url).rstrip("/").replace("http", "ws", 1)
    headers = {"Authorization": ana.headers["Authorization"]}
    with connect(f"{address}/s/{session['id']}/studiolo/execute", additional_headers=headers) as command:
        command.send(json.dumps({"argv": ["sh", "-c", "echo begun; sleep 100"], "cwd": None, "env": {}, "tty": None}))
        assert b"begun" in bytes(command.recv(timeout=20))

        def is_busy() -> bool:
            activity = ana.get(f"{S}/{session['id']}").json()["activity"]
            return bool(activity and activity["busy_terminals"] == 1)

        wait_for(is_busy, "the command is reported")
    stop(ana, session)


def seconds_until_closed(socket: Any) -> float:
    began = time.monotonic()
    while True:
        try:
            socket.recv(timeout=8)
        except ConnectionClosed:
            return time.monotonic() - began


@pytest.mark.parametrize("how", ["removed", "demoted"])
def test_who_loses_access_loses_pages_sockets_and_keys(
    platform: Platform, ana: httpx.Client, leo: Leo, how: str
) -> None:
    ana.put(f"{W}/in-full/members", json={"person": leo.name, "role": "editor"})
    workspace = ana.get(f"{W}/in-full").json()["id"]
    theirs = leo.post(S, json={"workspace": workspace}, params={"wait": 60}).json()
    assert theirs["state"] == "running", theirs
    assert leo.browser.get(f"/go/{theirs['id']}").headers["location"].startswith(f"/s/{theirs['id']}/")
    made = leo.browser.post(
        f"/s/{theirs['id']}/api/kernels",
        json={"name": "python3"},
        headers={"X-XSRFToken": xsrf(leo, theirs["id"])},
    )
    assert made.status_code == 201, made.text
    with (
        connect(f"ws://127.0.0.1:{platform.port}/live", additional_headers=leo.cookies()) as live,
        channels(leo.browser, theirs["id"], made.json()["id"], leo.cookies()) as socket,
    ):
        key = execute(socket, "print(open(__import__('os').environ['STUDIOLO_KEY_FILE']).read())").strip()
        assert httpx.get(f"{platform.address}{W}", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        if how == "removed":
            ana.delete(f"{W}/in-full/members/{leo.name}")
        else:
            ana.put(f"{W}/in-full/members", json={"person": leo.name, "role": "viewer"})
        assert seconds_until_closed(socket) < 5
        topics = set()
        until = time.monotonic() + 5
        while f"workspace:{workspace}" not in topics and time.monotonic() < until:
            topics.add(json.loads(live.recv(timeout=5))["topic"])
        assert f"workspace:{workspace}" in topics
    assert leo.browser.get(f"/s/{theirs['id']}/api/status").status_code in (403, 404)
    assert httpx.get(f"{platform.address}{W}", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    if how == "removed":
        assert leo.browser.get(f"{W}/{workspace}").status_code == 404
    ended = ana.get(f"{S}/{theirs['id']}", params={"wait": 60}).json()
    assert ended["state"] == "stopped"


def xsrf(leo: Leo, session: str) -> str:
    """JupyterLab's own token against foreign pages."""
    leo.browser.get(f"/s/{session}/lab")
    jar = leo.browser.cookies.jar
    return next(cookie.value or "" for cookie in jar if cookie.name == "_xsrf" and session in cookie.path)


def test_a_kill_of_the_control_plane_cuts_a_stream_and_loses_nothing(platform: Platform, ana: httpx.Client) -> None:
    session = launch(ana)
    with (
        events(ana, f"{S}/{session['id']}/log/stream") as stream,
        channels(ana, session["id"], start_kernel(ana, session["id"])) as socket,
    ):
        execute(socket, "x = 41")
        platform.kill(platform.part("studiolo.server.main"))
        # The stream ends by the kill, not by an event that says the session had ended.
        assert "end" not in names_until_cut(stream)
        platform.wait_up()
        assert execute(socket, "print(x + 1)").strip() == "42"
    now = ana.get(f"{S}/{session['id']}").json()
    assert (now["state"], now["launch"]) == ("running", 1)
    # The new process samples at once.
    wait_for(lambda: ana.get(f"{S}/{session['id']}").json()["usage"], "a sample")
    with events(ana, f"{S}/{session['id']}/progress") as stream:
        assert [json.loads(text)["state"] for _, text in stream] == ["running"]
    stop(ana, session)


def test_kills_while_samples_are_written_leave_a_whole_history(platform: Platform, ana: httpx.Client) -> None:
    session = launch(ana)
    for _ in range(3):
        # A new process samples as soon as it answers.
        platform.kill(platform.part("studiolo.server.main"))
        platform.wait_up()
    usage = wait_for(lambda: ana.get(f"{S}/{session['id']}/usage").json()["now"] and _usage(ana, session), "a sample")
    times = [sample["at"] for sample in usage["history"]]
    assert times == sorted(set(times))
    assert (ana.get(f"{S}/{session['id']}").json()["state"], usage["deaths"]) == ("running", [])
    stop(ana, session)
    used = ana.get(f"{W}/in-full/stats").json()
    assert (used["running_sessions"], used["launches"] > 0) == (0, True)


def _usage(client: httpx.Client, session: dict[str, Any]) -> dict[str, Any]:
    return dict(client.get(f"{S}/{session['id']}/usage").json())
