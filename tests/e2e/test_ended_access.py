"""What ends takes effect on open sockets too, within five seconds (promise S5)."""

import time
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from e2e.conftest import Platform, fresh, sign_in_cookie
from e2e.kernels import channels, execute, start_kernel
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

S = "/api/v1/jupyter/sessions"


@pytest.fixture(scope="module")
def session(platform: Platform) -> Iterator[tuple[httpx.Client, str, str]]:
    """A client of the administrator, a running session and a kernel in it."""
    client = platform.client()
    client.post("/api/v1/jupyter/workspaces", json={"name": "ended-access"})
    made = client.post(S, json={"workspace": "ended-access"}, params={"wait": 60}).json()
    yield client, made["id"], start_kernel(client, made["id"])
    client.post(f"{S}/{made['id']}/stop", params={"wait": 60})


def seconds_until_closed(socket: ClientConnection) -> float:
    """Read until the socket is closed from the other side."""
    began = time.monotonic()
    while True:
        try:
            socket.recv(timeout=5)
        except ConnectionClosed:
            return time.monotonic() - began


def test_a_revoked_key_loses_its_open_kernel_sockets(session: tuple[httpx.Client, str, str]) -> None:
    client, session_id, kernel = session
    made = client.post("/api/v1/me/keys", json={"name": "to be revoked"}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    with (
        httpx.Client(base_url=client.base_url, headers=headers) as other,
        channels(client, session_id, kernel) as mine,
        channels(other, session_id, kernel) as theirs,
    ):
        assert execute(theirs, "print(1)").strip() == "1"
        client.delete(f"/api/v1/me/keys/{made['id']}")
        assert seconds_until_closed(theirs) < 5
        assert other.get(f"/s/{session_id}/api/status").status_code == 401
        assert execute(mine, "print(2)").strip() == "2"


def test_no_client_keeps_its_socket_by_having_its_key_left_out(session: tuple[httpx.Client, str, str]) -> None:
    client, session_id, kernel = session
    made = client.post("/api/v1/me/keys", json={"name": "left out"}).json()
    # What Connection names is taken off by proxies.
    headers = {"Authorization": f"Bearer {made['key']}", "Connection": "Upgrade, X-Studiolo-Login"}
    with channels(client, session_id, kernel, headers) as theirs:
        client.delete(f"/api/v1/me/keys/{made['id']}")
        assert seconds_until_closed(theirs) < 5


def test_signing_out_everywhere_closes_pages_and_sessions(
    platform: Platform, session: tuple[httpx.Client, str, str]
) -> None:
    client, session_id, kernel = session
    cookies = sign_in_cookie(platform)
    host = f"127.0.0.1:{platform.port}"
    with httpx.Client(base_url=f"http://{host}", cookies=cookies) as browser:
        # By its bare address the session is served under the platform's own origin.
        entered = browser.get(f"/go/{session_id}")
        assert entered.headers["location"].startswith(f"/s/{session_id}/")
        headers = {"Cookie": "; ".join(f"{c.name}={c.value}" for c in browser.cookies.jar), "Origin": f"http://{host}"}
        with channels(browser, session_id, kernel, headers) as socket:
            client.post("/api/v1/me/sign-out-everywhere")
            assert seconds_until_closed(socket) < 5
        assert browser.get(f"/s/{session_id}/api/status").status_code == 401


def test_a_suspended_person_loses_all_that_is_open_on_every_door(platform: Platform) -> None:
    admin = platform.client()
    name = fresh("sue")
    invited = admin.post("/api/v1/invitations", json={"to": name}).json()["url"].partition("invitation=")[2]
    form = {"token": invited, "name": name, "password": "violet-harbour-otter"}
    key = httpx.post(f"{platform.address}/api/v1/join", json=form).json()["key"]
    cookies = sign_in_cookie(platform, name)
    host = f"127.0.0.1:{platform.port}"
    sent = {"Cookie": "; ".join(f"{c.name}={c.value}" for c in cookies.jar), "Origin": f"http://{host}"}
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=platform.address, headers=headers, timeout=120) as sue:
        sue.post("/api/v1/jupyter/workspaces", json={"name": "hers"})
        made = sue.post(S, json={"workspace": "hers"}, params={"wait": 60}).json()["id"]
        kernel = start_kernel(sue, made)
        gateway = sue.post("/api/v1/me/keys", json={"name": "g", "kind": "gateway", "workspace": "hers"}).json()["key"]
        with httpx.Client(
            base_url=platform.address, headers={"Authorization": f"token {gateway}"}, timeout=60
        ) as other:
            headless = other.post("/api/kernels", json={"name": "python"}).json()["id"]
            door = f"{platform.address.replace('http', 'ws', 1)}/api/kernels/{headless}/channels?token={gateway}"
            with (
                channels(sue, made, kernel) as of_session,
                connect(door, open_timeout=30) as of_gateway,
                connect(f"ws://{host}/live", additional_headers=sent, open_timeout=30) as page,
            ):
                assert execute(of_session, "print(1)").strip() == "1"
                assert execute(of_gateway, "print(2)").strip() == "2"
                assert admin.post(f"/api/v1/people/{name}/suspend").status_code == 204
                began = time.monotonic()
                for socket in (of_session, of_gateway, page):
                    seconds_until_closed(socket)
                assert time.monotonic() - began < 5
            assert other.get("/api/kernels").status_code == 401
        assert sue.get("/api/v1/me").status_code == 401
        assert sue.get(f"/s/{made}/api/status").status_code == 401
    assert httpx.get(f"http://{host}/api/v1/me", headers=sent).status_code == 401
    # What ran has ended too, and its processes with it.
    wait_for(lambda: admin.get(f"{S}/{made}").json()["state"] == "stopped", "the session has stopped", 60)
    wait_for(lambda: admin.get(f"/api/v1/kernels/{headless}").json()["state"] == "ended", "the kernel has ended", 60)
