import subprocess
import sys

import pytest

from cli.samples import ANA, ME, MEMBER, SESSION, WORKSPACE
from notebooks import NotebookLauncher, WorkspaceManager
from notebooks.cli import main
from notebooks.models import NotebookSession, ResourceConfig
from studiolo.contract.errors import Conflict, Denied, NotSignedIn
from studiolo.testing.stand_in import StandIn

SESSION_PATH = f"/jupyter/sessions/{SESSION['id']}"


@pytest.fixture
def account(platform: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A platform where Ana is signed in."""
    monkeypatch.setenv("STUDIOLO_URL", platform.url)
    monkeypatch.setenv("STUDIOLO_KEY", "key")
    platform.answer("GET", "/me", ME)
    platform.answer("POST", "/jupyter/workspaces", WORKSPACE)
    platform.answer("PUT", f"/jupyter/workspaces/{WORKSPACE['id']}/members", MEMBER)
    platform.answer("POST", "/jupyter/sessions", {**SESSION, "state": "starting"})
    platform.answer("GET", SESSION_PATH, SESSION)
    return platform


def test_launch_returns_a_session_that_is_ready(account: StandIn) -> None:
    session = NotebookLauncher().launch(user_email="ANA@example.com", workspace="churn")
    assert session == NotebookSession(SESSION["id"], SESSION["notebook_url"], "running")
    assert account.last("POST").body == {"workspace": "churn"}


def test_launch_without_a_workspace_makes_the_default_one(account: StandIn) -> None:
    NotebookLauncher().launch()
    assert [asked.body.get("name") for asked in account.asked if asked.path == "/jupyter/workspaces"] == ["default"]
    assert account.last("POST").body == {"workspace": WORKSPACE["id"]}


def test_launch_uses_the_default_workspace_that_exists(account: StandIn) -> None:
    account.refuse("POST", "/jupyter/workspaces", "conflict", "workspace-exists", 409)
    NotebookLauncher().launch()
    assert account.last("POST").body == {"workspace": f"{ANA['name']}/default"}


def test_nobody_launches_as_somebody_else(account: StandIn) -> None:
    with pytest.raises(Denied, match=r"ana@example\.com"):
        NotebookLauncher().launch(user_email="leo@example.com")
    with pytest.raises(Denied):
        WorkspaceManager().create_workspace("team", owner="leo@example.com")
    assert [asked for asked in account.asked if asked.method != "GET"] == []


def test_a_launch_that_fails_raises_with_the_reason(account: StandIn) -> None:
    reason = {"code": "x", "message": "The server exited.", "at": SESSION["created_at"], "log_tail": []}
    account.answer("GET", SESSION_PATH, {**SESSION, "state": "failed", "desired": "stopped", "reason": reason})
    with pytest.raises(Conflict, match="The server exited"):
        NotebookLauncher().launch(workspace="churn")


def test_a_workspace_is_made_and_shared(account: StandIn) -> None:
    manager = WorkspaceManager()
    workspace = manager.create_workspace(name="churn", description="Why", owner="ana@example.com")
    assert workspace.workspace_id == WORKSPACE["id"]
    manager.add_member(workspace_id=workspace.workspace_id, user_email="leo@example.com", role="editor")
    assert account.last("PUT").body == {"person": "leo@example.com", "role": "editor"}


def test_without_a_platform_the_error_is_ours() -> None:
    with pytest.raises(NotSignedIn):
        NotebookLauncher().launch()


def test_the_command_prints_what_the_launcher_returns(account: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", "--user", "ana@example.com", "--workspace", "churn"]) == 0
    out = capsys.readouterr().out
    assert str(SESSION["notebook_url"]) in out
    assert "Status:" in out


def test_a_session_is_launched_with_what_was_asked_for(account: StandIn) -> None:
    wanted = ResourceConfig(cpu_cores=4, memory_gb=16, gpu_count=1, gpu_type="nvidia-tesla-v100")
    NotebookLauncher().launch(workspace="churn", resources=wanted)
    body = account.last("POST").body
    assert body["resources"] == {"cpu": 4.0, "memory": 16 << 30, "gpu": 1, "gpu_type": "nvidia-tesla-v100"}


def test_the_command_takes_resources(account: StandIn) -> None:
    options = ["--cpu", "4", "--memory", "16Gi", "--gpu", "1", "--gpu-type", "nvidia-tesla-v100"]
    assert main(["launch", "--user", "ana@example.com", "--workspace", "churn", *options]) == 0
    body = account.last("POST").body
    assert body["resources"] == {"cpu": 4.0, "memory": 16 << 30, "gpu": 1, "gpu_type": "nvidia-tesla-v100"}


def test_a_size_that_is_none_is_refused(account: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", "--memory", "lots"]) == 2
    assert "binary" in capsys.readouterr().err


def test_a_notebook_is_shared_and_listed(account: StandIn) -> None:
    share = {
        "id": "h-1",
        "kind": "notebook",
        "path": "notebooks/a.ipynb",
        "shared_by": ANA,
        "at": SESSION["created_at"],
    }
    path = f"/jupyter/workspaces/{WORKSPACE['id']}/shares"
    account.answer("POST", path, share, status=201)
    account.answer("GET", path, {"items": [share], "next_cursor": None})
    manager = WorkspaceManager()
    manager.share_notebook(WORKSPACE["id"], "/notebooks/a.ipynb", shared_by="ana@example.com")
    listed = manager.list_shared_resources(WORKSPACE["id"])
    assert [(found.resource_type, found.resource_path) for found in listed] == [("notebook", "notebooks/a.ipynb")]
    with pytest.raises(Denied):
        manager.share_notebook(WORKSPACE["id"], "/notebooks/a.ipynb", shared_by="leo@example.com")


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["templates"]) == 2
    assert main(["launch", "--cpus", "4"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "notebooks.cli", "launch", "--help"], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
