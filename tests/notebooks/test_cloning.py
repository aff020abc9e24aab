"""The launcher begins from a git repository, against the real control plane and a repository of this machine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.control_plane import ControlPlane, control_plane
from notebooks import NotebookLauncher
from server.test_clones import Server, repositories, server
from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.sdk import Studiolo

__all__ = ["repositories", "server"]


@pytest.fixture
def platform(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """A platform that may clone from there, found by the launcher's own means."""
    monkeypatch.setenv("STUDIOLO_EGRESS__ALLOW", json.dumps([server.address]))
    with control_plane(tmp_path) as running:
        monkeypatch.setenv("STUDIOLO_URL", running.url)
        monkeypatch.setenv("STUDIOLO_KEY", running.key)
        yield running


@pytest.mark.req("S1-40", "S2-64")
def test_a_session_is_launched_with_a_repository(platform: ControlPlane, server: Server) -> None:
    url = f"http://{server.address}/open/study.git"
    with Studiolo() as client:
        folder = Path(str(client.workspaces.create("my-team-workspace").path))
    session = NotebookLauncher().launch(user_email=platform.person, workspace="my-team-workspace", git_repo=url)
    assert session.status == "running"
    assert (folder / "study" / "train.py").read_text() == "print(1)\n"
    # Again, with what was changed meanwhile.
    (folder / "study" / "train.py").write_text("print(2)\n")
    words = ["launch", "--workspace", "my-team-workspace", "--git-repo", url]
    done = subprocess.run(
        [sys.executable, "-m", "notebooks.cli", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "study" / "train.py").read_text() == "print(2)\n"


def test_a_repository_that_cannot_be_had_launches_nothing(platform: ControlPlane, server: Server) -> None:
    with pytest.raises(Unavailable) as failed:
        NotebookLauncher().launch(git_repo=f"http://{server.address}/open/absent.git")
    assert failed.value.code == "clone-failed"
    with pytest.raises(InvalidInput) as refused:
        NotebookLauncher().launch(git_repo="https://127.0.0.1:1/study.git")
    assert refused.value.code == "egress-refused"
    with Studiolo() as client:
        assert list(client.sessions.list()) == []
