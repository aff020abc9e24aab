"""A workspace is moved from the command line and from Python: shown, confirmed, taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.control_plane import ControlPlane, control_plane
from cli.samples import Run
from studiolo.contract.errors import Conflict
from studiolo.sdk import Studiolo
from studiolo.sdk.credentials import store
from studiolo.testing.keeping_engine import KeepingEngine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    folder = tmp_path_factory.mktemp("p")
    with control_plane(folder, KeepingEngine("pods", folder / "pods")) as running:
        yield running


@pytest.fixture
def server(shared: ControlPlane, home: Path) -> ControlPlane:
    store(shared.url, shared.key, shared.person)
    return shared


def test_a_workspace_moves_is_shown_and_confirmed(cli: Run, server: ControlPlane) -> None:
    folder = Path(cli("create", "churn", "--json").data["path"])
    assert cli("move", "churn").out == "It has not moved.\n"
    assert "studiolo move WORKSPACE pods" in cli("scale", "churn", "--engine", "pods").err
    moved = cli("move", "churn", "pods")
    assert (moved.code, "moved" in moved.out, "--confirm" in moved.err) == (0, True, True)
    assert cli("info", "churn", "--json").data["engine"] == "pods"
    assert cli("move", "churn", "local", "--json").data["code"] == "move-running"
    told = cli("move", "churn", "--confirm", "--json").data
    assert (told["state"], told["percent"], list(folder.iterdir())) == ("done", 100, [])
    assert cli("move", "churn", "pods", "--cancel").code == 2


def test_a_move_is_taken_back(cli: Run, server: ControlPlane) -> None:
    cli("create", "study")
    assert cli("move", "study", "pods", "--json").data["state"] == "moved"
    assert cli("move", "study", "--cancel", "--json").data["state"] == "cancelled"
    assert cli("info", "study", "--json").data["engine"] == "local"


def test_python_moves_a_workspace(server: ControlPlane) -> None:
    with Studiolo(server.url, server.key) as client:
        client.workspaces.create("python")
        assert client.workspaces.move("python", "pods").state == "copying"
        assert client.workspaces.wait_for_move("python").state == "moved"
        with pytest.raises(Conflict, match="is on pods already"):
            client.workspaces.move("python", "pods")
        client.workspaces.confirm_move("python")
        assert client.workspaces.wait_for_move("python").state == "done"
