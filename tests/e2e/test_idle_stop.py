"""Real sessions, real reports: what nobody uses stops, what works goes on, whatever is open in a browser."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from e2e.conftest import Platform
from e2e.kernels import channels, execute, send, start_kernel
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SLEEP = "import time\ntime.sleep(600)"
W, S = "/api/v1/jupyter/workspaces", "/api/v1/jupyter/sessions"


def test_of_an_idle_and_a_working_session_the_idle_one_stops(make_platform: Callable[..., Platform]) -> None:
    # The platform looks every quarter of a minute: one look warns, the next stops.
    platform = make_platform(STUDIOLO_SESSIONS__IDLE_STOP="16s", STUDIOLO_SESSIONS__IDLE_WARNING="10s")
    platform.up()
    client = platform.client()
    client.post(W, json={"name": "idle"})
    working = _launch(client, "working")
    # Open tabs, of which one only has a cell that runs.
    with ExitStack() as tabs:
        send(tabs.enter_context(channels(client, working, start_kernel(client, working))), SLEEP)
        kept, idle = _launch(client, "kept"), _launch(client, "idle")
        execute(tabs.enter_context(channels(client, idle, start_kernel(client, idle))), "x = 1")
        warned = wait_for(lambda: _get(client, kept)["idle_stop_at"], "the warning", seconds=60)
        assert warned
        assert client.post(f"{S}/{kept}/snooze", json={"minutes": 30}).status_code == 200
        stopped = wait_for(lambda: _ended(client, idle), "the idle session stops", seconds=90)
        assert (stopped["state"], stopped["reason"]["code"]) == ("stopped", "idle")
        assert stopped["reason"]["message"].startswith("Stopped after ")
        # Both had as long as the one that stopped.
        assert [_get(client, other)["desired"] for other in (working, kept)] == ["running", "running"]
        assert _get(client, working)["idle_stop_at"] is None


def _launch(client: httpx.Client, name: str) -> str:
    made = client.post(S, json={"workspace": "idle", "name": name}, params={"wait": 60}).json()
    assert made["state"] == "running", made
    return str(made["id"])


def _get(client: httpx.Client, session_id: str) -> dict[str, Any]:
    return dict(client.get(f"{S}/{session_id}").json())


def _ended(client: httpx.Client, session_id: str) -> dict[str, Any] | None:
    session = _get(client, session_id)
    return session if session["state"] == "stopped" else None
