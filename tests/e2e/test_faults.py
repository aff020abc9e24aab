"""Faults and bad input: a clear state in bounded time, no trace, no damage, and recovery without hands."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets import Origin
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from e2e.conftest import Platform, sign_in_cookie
from e2e.kernels import channels, execute, start_kernel
from studiolo.contract.errors import CODES
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

W, S = "/api/v1/jupyter/workspaces", "/api/v1/jupyter/sessions"
PROBLEM = "application/problem+json"
needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="only root can give a test a disk of its own"
)


@pytest.fixture(scope="module")
def client(platform: Platform) -> httpx.Client:
    return platform.client()


def launch(client: httpx.Client, workspace: str) -> dict[str, Any]:
    client.post(W, json={"name": workspace})
    return dict(client.post(S, json={"workspace": workspace}, params={"wait": 60}).json())


def code_of(reply: httpx.Response) -> str:
    """The code of a problem reply, which every error must be."""
    assert reply.headers["content-type"] == PROBLEM, reply.text
    assert "Traceback" not in reply.text
    code: str = reply.json()["code"]
    assert code in CODES
    return code


# The database and the disk


def test_a_locked_database_is_told_in_bounded_time(platform: Platform, client: httpx.Client) -> None:
    def create(number: int) -> tuple[httpx.Response, float]:
        began = time.monotonic()
        return client.post(W, json={"name": f"locked-{number}"}), time.monotonic() - began

    holder = sqlite3.connect(platform.data_dir / "studiolo.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(5) as pool:
        creating = [pool.submit(create, number) for number in range(5)]
        assert client.get("/api/v1/me").status_code == 200
        answers = [future.result() for future in creating]
    assert {code_of(reply) for reply, _ in answers} == {"database-unavailable"}
    assert max(seconds for _, seconds in answers) < 18
    holder.execute("ROLLBACK")
    holder.close()
    assert client.post(W, json={"name": "unlocked"}).status_code == 201


def test_a_damaged_database_is_told_and_refused(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform("damaged")
    platform.up()
    client = platform.client()
    client.post(W, json={"name": "before"})
    database = platform.data_dir / "studiolo.db"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(database.stat().st_size - 4096))
    # Connections that have read a page before may still answer from memory.
    replies = [client.get(f"{W}?q={number}") for number in range(20)] + [client.post(W, json={"name": "after"})]
    assert {code_of(reply) for reply in replies if reply.status_code >= 400} == {"database-unavailable"}
    platform.run("down")
    refused = platform.run("up", "--detach", check=False)
    assert refused.returncode != 0
    assert "database" in refused.stderr
    assert "hint:" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture
def small_disk(make_platform: Callable[..., Platform]) -> Iterator[Platform]:
    """A platform whose data directory is a small disk of its own; the environments lie elsewhere."""
    platform = make_platform("small-disk")
    environments = platform.folder / "environments"
    (platform.data_dir / "environments").rename(environments)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m,mode=0700", "tmpfs", platform.data_dir], check=True)
    (platform.data_dir / "environments").symlink_to(environments)
    yield platform
    platform.down()
    subprocess.run(["umount", "-l", platform.data_dir], check=True)


def fill(disk: Path, name: str = "hog") -> Path:
    """Take all space of a disk; returns the file to remove."""
    hog = disk / name
    with hog.open("wb", buffering=0) as file:
        try:
            for size in (1 << 20, 4096, 1):
                while file.write(b"\0" * size) == size:
                    pass
        except OSError:
            pass
    return hog


@needs_mounts
def test_a_full_disk_is_named_and_passes(small_disk: Platform) -> None:
    small_disk.up()
    client = small_disk.client()
    session = launch(client, "before")
    kernel = start_kernel(client, session["id"])
    hog = fill(small_disk.data_dir)
    # What the platform had kept back for this is given up, once: it lasts for sign-ins, not for ever.
    wait_for(lambda: not (small_disk.data_dir / "ballast").exists(), "the ballast is given up")
    second = fill(small_disk.data_dir, "second-hog")
    assert client.get("/api/v1/me").status_code == 200
    for reply in (
        client.post(W, json={"name": "too-much"}),
        client.post(f"{S}/{session['id']}/stop"),
        client.post("/api/v1/me/keys", json={"name": "too-much"}),
    ):
        assert (reply.status_code, code_of(reply)) == (503, "disk-full")
    with channels(client, session["id"], kernel) as kernel_socket:
        # IPython says as well, before or after, that it cannot keep its history.
        said = execute(kernel_socket, "print(6 * 7)").strip()
        assert said.startswith("42") or said.endswith("42"), said
    refused = small_disk.run("create", "too-much", check=False)
    assert "disk is full" in refused.stderr
    hog.unlink()
    second.unlink()
    assert client.post(W, json={"name": "enough"}).status_code == 201
    assert launch(client, "enough")["state"] == "running"
    assert client.post(f"{S}/{session['id']}/stop", params={"wait": 30}).json()["state"] == "stopped"


@needs_mounts
def test_a_full_or_read_only_disk_is_refused_at_the_start(small_disk: Platform) -> None:
    hog = fill(small_disk.data_dir)
    refused = small_disk.run("up", "--detach", check=False)
    assert "are free on the disk" in refused.stderr
    hog.unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk.data_dir], check=True)
    refused = small_disk.run("up", "--detach", check=False)
    assert "cannot be written: Read-only file system" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_second_control_plane_on_the_same_data_is_refused(platform: Platform) -> None:
    main = platform.part("studiolo.server.main")
    again = subprocess.run(main.cmdline(), env=main.environ(), capture_output=True, text=True, timeout=30, check=False)
    assert again.returncode == 6
    assert "A control plane runs on this data directory already." in again.stderr
    assert platform.is_up()


# Sessions


def test_sessions_start_while_the_fork_server_is_killed(platform: Platform, client: httpx.Client) -> None:
    with ThreadPoolExecutor(6) as pool:
        launching = [pool.submit(launch, client, f"killed-{number}") for number in range(6)]
        for _ in range(3):
            victim = wait_for(lambda: fork_server(platform), "the fork server runs")
            platform.kill(victim)
        sessions = [future.result() for future in launching]
    assert {session["state"] for session in sessions} <= {"running", "failed"}
    assert all(session["reason"]["message"] for session in sessions if session["state"] == "failed")
    assert launch(client, "killed-after")["state"] == "running"


def fork_server(platform: Platform) -> psutil.Process | None:
    try:
        return platform.part("forkserver")
    except (AssertionError, psutil.Error):
        return None


def test_a_session_without_folder_fails_in_words_and_without_environment_gets_one(
    platform: Platform, client: httpx.Client
) -> None:
    session = launch(client, "vanishing")
    workspace = client.get(f"{W}/vanishing").json()
    kernel = start_kernel(client, session["id"])
    with channels(client, session["id"], kernel) as kernel_socket:
        execute(kernel_socket, "1")
        # At once: whoever writes in it meanwhile would keep it.
        (platform.data_dir / "environments" / workspace["id"]).rename(platform.data_dir / "gone")
        refused = client.post(f"/s/{session['id']}/api/kernels", json={})
        assert (refused.status_code, "restart the session" in refused.json()["message"]) == (503, True)
        again = client.post(f"{S}/{session['id']}/restart", params={"wait": 60}).json()
    assert again["state"] == "running"
    with channels(client, session["id"], start_kernel(client, session["id"])) as kernel_socket:
        assert execute(kernel_socket, "import packaging; print(6 * 7)").strip() == "42"
        shutil.rmtree(workspace["path"])
        assert execute(kernel_socket, "print(6 * 7)").strip() == "42"
    assert client.get(f"{S}/{session['id']}").json()["state"] == "running"
    failed = client.post(f"{S}/{session['id']}/restart", params={"wait": 60}).json()
    assert (failed["state"], failed["reason"]["code"]) == ("failed", "never-ready")
    assert workspace["path"] in failed["reason"]["log_tail"][-1]


def test_crossing_wishes_end_in_the_last_with_one_server(platform: Platform, client: httpx.Client) -> None:
    session = launch(client, "crossing")
    path = f"{S}/{session['id']}"
    verbs = ["stop", "start", "restart", "start", "restart"] * 2
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda verb: client.post(f"{path}/{verb}"), verbs * 3))
    assert {reply.status_code for reply in replies} == {200}
    assert client.post(f"{path}/restart", params={"wait": 60}).json()["state"] == "running"
    wait_for(lambda: len(servers(session["id"])) == 1, "one server is left")
    assert client.get(f"/s/{session['id']}/api/status").status_code == 200
    assert client.post(f"{path}/stop", params={"wait": 60}).json()["state"] == "stopped"
    wait_for(lambda: not servers(session["id"]), "no server is left")


def servers(session_id: str) -> list[psutil.Process]:
    """The notebook servers of a session: who listens on one of its sockets."""
    return [
        process
        for process in psutil.process_iter(["name"])
        if process.info["name"] == "studiolo-lab" and session_id in listening(process)
    ]


def listening(process: psutil.Process) -> str:
    try:
        return " ".join(str(connection.laddr) for connection in process.net_connections("unix"))
    except psutil.Error:
        return ""


# What clients send


def answer(platform: Platform, request: bytes) -> bytes:
    """What comes back for these bytes, until the other side closes."""
    with socket.create_connection(("127.0.0.1", platform.port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def request_of(platform: Platform, client: httpx.Client, path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: localhost:{platform.port}",
        f"Authorization: {client.headers['Authorization']}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/s/../api/v1/me", 404),
        ("/s/%2e%2e/api/v1/me", 404),
        ("//api/v1/me", 404),
        ("/s/", 404),
        ("/s/%00/lab", 404),
        ("/S/s-0000000000000000/lab", 404),
        ("/s/s-0000000000000000/lab", 404),
        ("/_door", 404),
        ("/api/v1/../../_look", 404),
        ("/static/..%2f..%2fapp.py", 404),
        ("/%ff%fe", 404),
        (f"{S}/%00", 422),
        (f"{W}/..%2f..", 404),
        (f"{S}?limit=99999999999999999999", 422),
        (f"{S}?cursor=%ff", 422),
        ("/api/v1/audit?cursor=99999999999999999999", 422),
    ],
)
def test_strange_addresses_are_refused_in_one_shape(
    platform: Platform, client: httpx.Client, path: str, status: int
) -> None:
    extra = ("X-Studiolo-Question: 1", "X-Forwarded-Uri: /api/v1/me", "X-Forwarded-Host: elsewhere")
    reply = answer(platform, request_of(platform, client, path, *extra))
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())
    assert PROBLEM.encode() in reply


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"X-Long: {'a' * 40960}", 431),
        ("X-Split: a\r b", 400),
        ("X-Nul: a\0b", 400),
        ("Host: elsewhere.example", 400),
        ("Content-Length: -1", 400),
    ],
)
def test_headers_that_no_client_sends_are_refused(
    platform: Platform, client: httpx.Client, header: str, status: int
) -> None:
    reply = answer(platform, request_of(platform, client, "/api/v1/me", header))
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())


def test_forged_identity_is_nobody(client: httpx.Client) -> None:
    forged = {
        "Authorization": "",
        "X-Studiolo-Person": "eyJpZCI6InAtMSJ9",
        "X-Studiolo-Auth": "key",
        "X-Studiolo-Question": "1",
        "X-Forwarded-User": "admin",
    }
    assert code_of(client.get("/api/v1/me", headers=forged)) == "not-signed-in"
    assert code_of(client.get("/api/v1/me", headers={"Host": "elsewhere.example"})) == "host-unknown"


def test_a_wrong_method_is_told_the_right_ones(client: httpx.Client) -> None:
    reply = client.post("/api/v1/me")
    assert (reply.status_code, code_of(reply), reply.headers["allow"]) == (405, "method-not-allowed", "GET")


def test_large_and_broken_bodies_are_refused(client: httpx.Client) -> None:
    as_json = {"Content-Type": "application/json"}
    pieces = (b"a" * (1 << 20) for _ in range(100))
    for body in (b"a" * (100 << 20), pieces):
        reply = client.post("/api/v1/me/keys", content=body, headers=as_json)
        assert (reply.status_code, code_of(reply)) == (413, "request-too-large")
    for body in (b'{"name": "\xff\xfe"}', b'{"name": "\\ud800"}', b"[" * 200_000, b"null", b"{"):
        reply = client.post("/api/v1/me/keys", content=body, headers=as_json)
        assert (reply.status_code, code_of(reply)) == (422, "request-invalid")


def test_two_hundred_slow_clients_hold_nobody_up(platform: Platform, client: httpx.Client) -> None:
    half = request_of(platform, client, "/api/v1/me/keys", "Content-Length: 1000", method="POST") + b"{"
    slow = [socket.create_connection(("127.0.0.1", platform.port)) for _ in range(200)]
    for number, connection in enumerate(slow):
        connection.sendall(half if number % 2 else half[:40])
    began = time.monotonic()
    assert [client.get("/api/v1/me").status_code for _ in range(20)] == [200] * 20
    assert time.monotonic() - began < 5
    for connection in slow:
        connection.close()


@pytest.mark.parametrize(
    "name", ["../x", "a" * 300, "näme", "名前", "a b", "a\0b", "a~b", "", "-", "con/../aux", "new"]
)
def test_names_that_are_no_good_are_refused_with_the_rule(client: httpx.Client, name: str) -> None:
    reply = client.post(W, json={"name": name})
    assert code_of(reply) in ("name-invalid", "name-reserved", "request-invalid")
    assert reply.status_code == 422


def test_a_session_takes_any_password(client: httpx.Client) -> None:
    client.post(W, json={"name": "passwords"})
    password = 'pä"s;s\\w<ö>rd 秘密 %00'
    made = client.post(S, json={"workspace": "passwords", "password": password}, params={"wait": 60}).json()
    path = f"/s/{made['id']}/api/status"
    assert code_of(client.get(path)) == "session-password-needed"
    header = {"Studiolo-Session-Password": password.encode()}
    assert client.get(path, headers=header).status_code == 200


# Sockets of browsers


def handshake(platform: Platform, path: str, origin: str, cookies: httpx.Cookies) -> ClientConnection:
    """Open a websocket as a page of `origin` would."""
    cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies.jar)
    url = f"ws://127.0.0.1:{platform.port}{path}"
    return connect(url, origin=Origin(origin), additional_headers={"Cookie": cookie})


def read_on(socket: ClientConnection) -> None:
    """Read until the other side closes; raises TimeoutError after five quiet seconds."""
    while socket.recv(timeout=5):
        pass


def test_pages_of_others_open_no_socket_and_an_ended_login_keeps_none(platform: Platform, client: httpx.Client) -> None:
    session = launch(client, "foreign")
    own = f"http://127.0.0.1:{platform.port}"
    with httpx.Client(base_url=own, cookies=sign_in_cookie(platform)) as browser:
        browser.get(f"/go/{session['id']}")
        kernel = f"/s/{session['id']}/api/kernels/{start_kernel(client, session['id'])}/channels"
        for path in ("/live", kernel):
            for origin in ("http://elsewhere.example", f"http://127.0.0.1:{platform.port + 1}", "null"):
                with pytest.raises(InvalidStatus) as refused:
                    handshake(platform, path, origin, browser.cookies)
                assert refused.value.response.status_code == 403
        with handshake(platform, "/live", own, browser.cookies) as live:
            client.post("/api/v1/me/sign-out-everywhere")
            with pytest.raises(ConnectionClosed):
                read_on(live)
        assert browser.get(f"/s/{session['id']}/api/status").status_code == 401
