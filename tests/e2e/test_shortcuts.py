"""Who was let in goes on without a question for a few seconds, and not a moment longer than their right."""

from collections.abc import Iterator

import httpx
import pytest

from e2e.conftest import Platform, sign_in_cookie
from studiolo.server.settings import load_settings
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

S = "/api/v1/jupyter/sessions"


@pytest.fixture(scope="module")
def session(platform: Platform) -> Iterator[str]:
    client = platform.client()
    client.post("/api/v1/jupyter/workspaces", json={"name": "shortcuts"})
    made = client.post(S, json={"workspace": "shortcuts"}, params={"wait": 60}).json()
    assert made["state"] == "running"
    yield made["id"]
    client.post(f"{S}/{made['id']}/stop", params={"wait": 60})


def take_shortcut(platform: Platform, browser: httpx.Client, session: str) -> None:
    """Ask for something small until the platform has opened a shortcut."""
    folder = load_settings(data_dir=platform.data_dir).shortcuts

    def is_open() -> bool:
        assert browser.get(f"/s/{session}/api/me").status_code == 200
        return any(path.name.startswith(session) for path in folder.iterdir())

    wait_for(is_open, "a shortcut")


def test_a_shortcut_is_its_persons_and_works_without_the_control_plane(platform: Platform, session: str) -> None:
    client = platform.client()
    take_shortcut(platform, client, session)
    control = platform.part("studiolo.server.main")
    control.suspend()
    try:
        reply = client.get(f"/s/{session}/api/me", headers={"X-Studiolo-Person": "e30="}, timeout=2)
    finally:
        control.resume()
    assert reply.status_code == 200
    assert reply.json()["identity"]["username"] == client.get("/api/v1/me").json()["id"]


def test_a_revoked_key_and_an_ended_login_lose_their_shortcut_at_once(platform: Platform, session: str) -> None:
    client = platform.client()
    made = client.post("/api/v1/me/keys", json={"name": "short"}).json()
    with httpx.Client(base_url=client.base_url, headers={"Authorization": f"token {made['key']}"}) as other:
        take_shortcut(platform, other, session)
        client.delete(f"/api/v1/me/keys/{made['id']}")
        assert other.get(f"/s/{session}/api/me").status_code == 401
    cookies = sign_in_cookie(platform)
    with httpx.Client(base_url=f"http://127.0.0.1:{platform.port}", cookies=cookies) as browser:
        assert browser.get(f"/go/{session}").status_code == 303
        take_shortcut(platform, browser, session)
        client.post("/api/v1/me/sign-out-everywhere")
        assert browser.get(f"/s/{session}/api/me").status_code == 401


def test_a_stopped_session_has_no_shortcuts(platform: Platform, session: str) -> None:
    client = platform.client()
    take_shortcut(platform, client, session)
    client.post(f"{S}/{session}/stop", params={"wait": 60})
    assert client.get(f"/s/{session}/api/me").status_code == 409
