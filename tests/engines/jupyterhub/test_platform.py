"""A whole platform whose sessions run at a real JupyterHub."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from e2e.conftest import Platform, make_platform  # noqa: F401
from e2e.kernels import channels, execute, start_kernel
from e2e.test_main_job import sign_in
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.engine_hub, pytest.mark.e2e, pytest.mark.timeout(600)]
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "where",
            "metadata": {},
            "source": "import os\nprint('at', os.environ['JUPYTERHUB_SERVER_NAME'])",
            "execution_count": None,
            "outputs": [],
        }
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def platform(make_platform: Callable[..., Platform], hub: dict[str, str]) -> Platform:  # noqa: F811
    """A platform that runs all sessions at the Hub."""
    tables = {
        "STUDIOLO_ENGINES__DEFAULT": "jupyterhub",
        "STUDIOLO_ENGINES__JUPYTERHUB__URL": hub["url"],
        "STUDIOLO_ENGINES__JUPYTERHUB__TOKEN_FILE": hub["token_file"],
        "STUDIOLO_ENGINES__JUPYTERHUB__CREATE_USERS": "true",
        "STUDIOLO_ENGINES__JUPYTERHUB__POLL_SECONDS": "1",
    }
    made = make_platform(**tables)
    made.up()
    return made


def launch(client: httpx.Client) -> dict[str, Any]:
    """Launch a session in a new workspace and wait until it runs."""
    client.post("/api/v1/jupyter/workspaces", json={"name": "churn"}).raise_for_status()
    reply = client.post("/api/v1/jupyter/sessions", json={"workspace": "churn"}, params={"wait": 60}, timeout=90)
    session: dict[str, Any] = reply.raise_for_status().json()
    while session["state"] == "starting":
        session = client.get(f"/api/v1/jupyter/sessions/{session['id']}", params={"wait": 60}, timeout=90).json()
    assert session["state"] == "running", session
    return session


def find_engine(platform: Platform) -> dict[str, Any]:
    """Return how the Hub is, as the platform tells."""
    listed: list[dict[str, Any]] = platform.json("engines")
    return next(engine for engine in listed if engine["name"] == "jupyterhub")


def hear(socket: ClientConnection) -> None:
    """Hear all that comes, for as long as something may."""
    while True:
        socket.recv(timeout=30)


@pytest.mark.browser
@pytest.mark.req("S4-69", "S4-70")
def test_a_session_at_the_hub_is_used_by_programs_and_in_a_browser(platform: Platform, chromium: Browser) -> None:
    # The first answer of a Hub that has much to do may come late.
    wait_for(lambda: find_engine(platform)["healthy"], "the engine is healthy")
    listed = find_engine(platform)
    assert (listed["isolation"], listed["storage"], listed["default"]) == ("L0", "own", True)
    client = platform.client()
    session = launch(client)
    kernel_id = start_kernel(client, session["id"])
    with channels(client, session["id"], kernel_id) as socket:
        where = execute(socket, "import os; print(os.environ['JUPYTERHUB_SERVER_NAME'])").strip()
    assert where.startswith(f"{session['id']}-1-")
    other = platform.client()
    with channels(other, session["id"], kernel_id) as socket, channels(client, session["id"], kernel_id) as mine:
        assert execute(socket, "print(1)").strip() == "1"
        newest = other.get("/api/v1/me/keys").json()[0]
        assert other.delete(f"/api/v1/me/keys/{newest['id']}").status_code == 204
        begun = time.monotonic()
        with pytest.raises(ConnectionClosed):
            hear(socket)
        assert time.monotonic() - begun < 5
        assert execute(mine, "print(2)").strip() == "2"

    saved = client.put(f"/s/{session['id']}/api/contents/where.ipynb", json={"type": "notebook", "content": NOTEBOOK})
    assert saved.status_code in (200, 201), saved.text
    page = sign_in(chromium, platform).new_page()
    page.goto(f"{platform.address}/go/{session['id']}?next=lab/tree/where.ipynb", wait_until="commit", timeout=60_000)
    page.wait_for_url(f"http://{session['id']}.localhost:{platform.port}/user/admin/{where}/lab/tree/where.ipynb**")
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible()
    expect(page.get_by_text("| Idle")).to_be_visible()
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output").get_by_text(f"at {where}")).to_be_visible()

    stopped = client.post(f"/api/v1/jupyter/sessions/{session['id']}/stop", params={"wait": 60}, timeout=90)
    assert stopped.json()["state"] == "stopped", stopped.text
