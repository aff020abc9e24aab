"""The main job from the command line alone: real supervisor, front door, fork server and JupyterLab."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from base_environments import give_base, small_lock
from studiolo.testing.ports import free_port

Call = Callable[..., Any]
FOLDER = Path(sys.executable).parent


@pytest.fixture
def call() -> Iterator[Call]:
    """Run a command line against a platform of its own; returns its JSON. The platform ends with the test."""
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as folder:
        variables = {
            "STUDIOLO_DATA_DIR": f"{folder}/data",
            "STUDIOLO_PORT": str(free_port()),
            "XDG_CONFIG_HOME": folder,
        }
        variables["STUDIOLO_ENVIRONMENTS__LOCK_FILE"] = str(small_lock())
        give_base(Path(folder, "data"), small_lock())

        def run(*command: str) -> Any:
            done = subprocess.run(
                [FOLDER / command[0], *command[1:], "--json"],
                capture_output=True,
                text=True,
                timeout=600,
                env={**os.environ, **variables},
            )
            assert done.returncode == 0, done
            return json.loads(done.stdout)

        try:
            yield run
        finally:
            run("studiolo", "down", "--stop-sessions")


@pytest.mark.e2e
@pytest.mark.timeout(600)
@pytest.mark.req("S0-02", "S0-149", "S0-151", "S0-152", "S3-09")
def test_from_up_to_a_session_that_answers_and_is_stopped(call: Call) -> None:
    address = call("studiolo", "up", "--detach")["address"]
    assert call("ml", "jupyter", "create", "my-workspace")["role"] == "owner"
    session = call("ml", "jupyter", "start", "my-workspace", "--name", "my-notebook")
    assert session["state"] == "running"
    assert session["notebook_url"] == f"{address}/go/{session['id']}"
    key = call("studiolo", "keys", "create", "--name", "test")["key"]
    status = httpx.get(f"{session['api_url']}api/status", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    assert status.json()["kernels"] == 0
    assert call("ml", "jupyter", "list")[0]["sessions"][0]["id"] == session["id"]
    assert call("ml", "jupyter", "stop", session["id"])["state"] == "stopped"
