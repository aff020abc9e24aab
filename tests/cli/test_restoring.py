"""A notebook's environment: written into it, and had again."""

import json
from pathlib import Path

import pytest

from cli.samples import ENVIRONMENT, WORKSPACE, Run
from studiolo.contract.notebook_environments import EnvironmentRestore, environment_in
from studiolo.testing.stand_in import StandIn

TEXT = '{\r\n "cells": [],\r\n "metadata": {"a": "é"},\r\n "nbformat": 4,\r\n "nbformat_minor": 5\r\n}\r\n'


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    file = tmp_path / "n.ipynb"
    file.write_bytes(TEXT.encode())
    return file


@pytest.mark.req("S1-06", "S1-09")
def test_an_environment_is_written_into_a_notebook_and_had_again(cli: Run, platform: StandIn, notebook: Path) -> None:
    ran = cli("environment", "stamp", str(notebook), "--workspace", "churn", "--packages", "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out) == {"file": str(notebook)}
    text = notebook.read_bytes().decode()
    assert "é" in text
    assert text.count("\r\n") == text.count("\n")
    ours = json.loads(text)["metadata"]["studiolo"]
    assert ours["packages"] == [f"{one['name']}=={one['version']}" for one in ENVIRONMENT["packages"]]
    assert ours["environment"]["hash"] == f"sha256:{ENVIRONMENT['hash']}"
    ran = cli("environment", "restore", str(notebook), "--workspace", "churn", "--no-wait", "--json")
    assert ran.code == 0, ran
    asked = platform.last("POST")
    assert asked.path.endswith("/environment/restore")
    assert asked.body["hash"] == ours["environment"]["hash"]
    assert asked.body["packages"] == ours["packages"]


def test_a_session_knows_its_workspace(
    cli: Run, platform: StandIn, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("environment", "stamp", str(notebook)).code == 2
    monkeypatch.setenv("STUDIOLO_WORKSPACE", "churn")
    assert "which environment churn has" in cli("environment", "stamp", str(notebook)).out


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"cells": [], "metadata": []}'])
def test_what_is_no_notebook_is_named(cli: Run, platform: StandIn, notebook: Path, content: bytes) -> None:
    notebook.write_bytes(content)
    ran = cli("environment", "stamp", str(notebook), "--workspace", "churn")
    assert ran.code != 0
    assert "cannot be used as a notebook" in ran.err
    assert notebook.read_bytes() == content


def test_no_workspace_is_made_for_what_is_no_notebook(cli: Run, platform: StandIn, notebook: Path) -> None:
    notebook.write_bytes(b"{}")
    ran = cli("environment", "restore", str(notebook), "--new", "churn")
    assert ran.code != 0
    assert "cannot be used as a notebook" in ran.err
    assert not [asked for asked in platform.asked if asked.method == "POST"]


def test_no_workspace_is_made_for_a_notebook_that_names_no_environment(
    cli: Run, platform: StandIn, notebook: Path
) -> None:
    ran = cli("environment", "restore", str(notebook), "--new", "churn")
    assert ran.code != 0
    assert "does not say which environment it ran in" in ran.err
    assert not [asked for asked in platform.asked if asked.method == "POST"]


def cell(environment: object, at: str) -> dict[str, object]:
    return {"cell_type": "code", "metadata": {"studiolo": {"environment": environment, "at": at}}}


def test_the_newest_of_what_a_notebook_and_its_cells_say_counts() -> None:
    old, new = (
        cell({"hash": "sha256:old"}, "2026-01-01T00:00:00Z"),
        cell({"hash": "sha256:new"}, "2026-02-01T00:00:00Z"),
    )
    whole = {"metadata": {"studiolo": {"environment": {"hash": "sha256:whole"}, "packages": ["six==1.17.0", 7]}}}
    assert environment_in({"cells": [new, old], **whole}).hash == "sha256:new"
    assert environment_in({"cells": [], **whole}).hash == "sha256:whole"
    assert environment_in({"cells": [], **whole}).packages == ["six==1.17.0"]


@pytest.mark.parametrize("told", [None, 7, [], {"hash": 7}, {"hash": "x" * 81}, {"hash": ["a"]}, {}])
def test_what_is_no_hash_is_none(told: object) -> None:
    hostile = {"cells": [cell(told, "9999"), None, {"metadata": 3}, {"metadata": {"studiolo": "x"}}], "metadata": []}
    assert environment_in(hostile) == EnvironmentRestore()


def test_a_workspace_made_for_an_environment_goes_again_when_it_cannot_be_had(
    cli: Run, platform: StandIn, notebook: Path
) -> None:
    cli("environment", "stamp", str(notebook), "--workspace", "churn")
    platform.refuse("POST", "/jupyter/workspaces/churn/environment/restore", "conflict", "python-differs", 409)
    platform.answer("DELETE", f"/jupyter/workspaces/{WORKSPACE['id']}", None, status=204)
    platform.answer("DELETE", f"/jupyter/trash/{WORKSPACE['id']}", None, status=204)
    ran = cli("environment", "restore", str(notebook), "--new", "churn")
    assert ran.code != 0
    assert "python-differs" in ran.err
    assert [asked.path for asked in platform.asked if asked.method == "DELETE"] == [
        f"/jupyter/workspaces/{WORKSPACE['id']}",
        f"/jupyter/trash/{WORKSPACE['id']}",
    ]


def test_why_an_environment_cannot_be_had_is_said_also_when_the_workspace_stays(
    cli: Run, platform: StandIn, notebook: Path
) -> None:
    cli("environment", "stamp", str(notebook), "--workspace", "churn")
    platform.refuse("POST", "/jupyter/workspaces/churn/environment/restore", "conflict", "python-differs", 409)
    platform.refuse("DELETE", f"/jupyter/workspaces/{WORKSPACE['id']}", "unavailable", "platform-unreachable", 503)
    ran = cli("environment", "restore", str(notebook), "--new", "churn")
    assert "python-differs" in ran.err
    assert "could not be taken away again" in ran.err
