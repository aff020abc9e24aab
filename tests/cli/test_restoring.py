"""A notebook's environment: written into it, and had again."""

import json
from pathlib import Path

import pytest

from cli.samples import ENVIRONMENT, Run
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
