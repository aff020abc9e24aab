"""An installer in a notebook becomes a build, which the notebook names, and which somebody else has again by it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection

from e2e.conftest import Platform
from e2e.kernels import channels, execute, start_kernel
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

# Small, and nothing needs it that is there already.
PACKAGE = "iniconfig"
SECONDS = 240.0


@dataclass(frozen=True)
class Lab:
    """A running session of the workspace `grown`, with one kernel of it."""

    platform: Platform
    client: httpx.Client
    session: str
    socket: ClientConnection

    def builds(self) -> list[dict[str, Any]]:
        """The builds, newest first."""
        found: list[dict[str, Any]] = self.platform.json("environment", "history", "grown")
        return found

    def named(self) -> dict[str, Any]:
        """The environments that kernelspecs of the session name, by the kernelspec's name."""
        specs = self.client.get(f"/s/{self.session}/api/kernelspecs").json()["kernelspecs"]
        return {name: found["spec"]["metadata"]["studiolo"]["environment"] for name, found in specs.items()}


@pytest.fixture(scope="module")
def lab(platform: Platform) -> Iterator[Lab]:
    platform.run("create", "grown")
    client = platform.client()
    session = platform.json("start", "grown")["id"]
    with channels(client, session, start_kernel(client, session)) as socket:
        yield Lab(platform, client, session, socket)
    for name in ("grown", "again"):
        platform.run("delete", name, "--yes", check=False)


@pytest.mark.req("S0-43", "S0-81", "S1-06", "S1-07", "S1-09")
def test_an_installation_in_a_notebook_is_recorded_named_had_again_and_undone(lab: Lab, tmp_path: Path) -> None:
    execute(lab.socket, f"!pip install --progress-bar off {PACKAGE}", timeout=SECONDS)
    wait_for(lambda: lab.builds()[0]["cause"] == "live", "the installation is a build", 60)
    build = lab.builds()[0]
    assert (build["made_by"]["name"], build["session_id"], build["state"]) == ("admin", lab.session, "ready")
    assert [(one["action"], one["name"]) for one in build["changes"]] == [("installed", PACKAGE)]
    events = lab.client.get("/api/v1/audit", params={"limit": 200}).json()["items"]
    mine = [event for event in events if event["target"] == PACKAGE]
    assert {event["action"] for event in mine} >= {"package.installed", "package.download"}
    # What the index delivered needs nobody's word.
    assert "package.unverified" not in {event["action"] for event in mine}
    assert PACKAGE in lab.platform.run("environment", "lock", "grown").stdout

    named = {"hash": f"sha256:{build['hash']}", "build": build["number"], "base": build["base"]}
    wait_for(lambda: lab.named()["python3"] == named, "kernelspecs name the build")
    notebook = tmp_path / "n.ipynb"
    notebook.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    lab.platform.run("environment", "stamp", str(notebook), "--workspace", "grown")
    assert json.loads(notebook.read_text())["metadata"]["studiolo"]["environment"] == named

    made = lab.platform.json("environment", "restore", str(notebook), "--new", "again")
    assert (made["state"], made["cause"], made["hash"]) == ("ready", "restore", build["hash"])
    lab.platform.run("environment", "undo", "grown")
    assert lab.builds()[0]["hash"] != build["hash"]
    assert execute(lab.socket, f"import importlib.util; print(importlib.util.find_spec('{PACKAGE}'))") == "None\n"


@pytest.mark.req("S1-05", "S1-08")
def test_kernelspecs_that_come_and_go_in_an_environment_are_offered_so(lab: Lab) -> None:
    execute(lab.socket, "!python -m ipykernel install --sys-prefix --name extra --env ONE two", timeout=SECONDS)
    wait_for(lambda: "extra" in lab.named(), "the kernel is offered")
    assert lab.named()["extra"] == lab.named()["python3"]
    execute(lab.socket, "import shutil, sys; shutil.rmtree(f'{sys.prefix}/share/jupyter/kernels/extra')")
    wait_for(lambda: "extra" not in lab.named(), "the kernel is gone")
