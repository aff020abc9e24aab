"""Versions and deleted files by command and from Python, against the real control plane."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.control_plane import ControlPlane, control_plane
from cli.samples import Run
from studiolo.contract.errors import NotFound
from studiolo.runtime.history.trash import Trash
from studiolo.runtime.history.versions import Versions
from studiolo.sdk import Studiolo
from studiolo.sdk.credentials import store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("p")) as running:
        yield running


@pytest.fixture
def folder(server: ControlPlane, home: Path, cli: Run, request: pytest.FixtureRequest) -> Path:
    """The folder of a workspace `churn`, made for each test, with two versions of `a.ipynb`."""
    store(server.url, server.key, server.person)
    if cli("info", "churn").code == 0:
        assert cli("delete", "churn", "--yes").code == 0
    path = Path(cli("create", "churn", "--json").data["path"])
    for content in (b"one", b"two"):
        Versions(path).keep("a.ipynb", content, by="", how="session")
    (path / "a.ipynb").write_bytes(b"two")
    return path


@pytest.mark.req("S0-115")
def test_the_versions_of_a_notebook_are_listed_by_workspace_and_path(cli: Run, folder: Path) -> None:
    listed = cli("version", "churn", "a.ipynb", program="ml jupyter")
    assert listed.code == 0, listed.err
    newest, oldest = cli("version", "churn", "a.ipynb", "--json").data
    assert newest["id"] in listed.out
    assert oldest["id"] in listed.out
    assert cli("files", "versions", "churn:a.ipynb", "--json").data == [newest, oldest]
    assert cli("version", "churn", "../a.ipynb", "--json").data["code"] == "path-outside"


@pytest.mark.req("S2-06")
def test_a_version_is_found_shown_and_brought_back(cli: Run, folder: Path, tmp_path: Path) -> None:
    newest, oldest = cli("files", "versions", "churn:a.ipynb", "--json").data
    assert (newest["is_current"], oldest["is_current"]) == (True, False)
    assert oldest["id"] in cli("files", "versions", "churn:a.ipynb").out
    assert cli("files", "show", "churn:a.ipynb", oldest["id"], "--json").data["text"] == "one"
    there = tmp_path / "old.ipynb"
    assert cli("files", "show", "churn:a.ipynb", oldest["id"], "-o", str(there)).code == 0
    assert there.read_bytes() == b"one"
    assert cli("files", "restore", "churn:a.ipynb", oldest["id"]).code == 0
    assert (folder / "a.ipynb").read_bytes() == b"one"
    assert cli("files", "restore", "churn:a.ipynb", "none", "--json").data["code"] == "version-not-found"


def test_a_deleted_file_comes_back_by_its_path_or_goes_for_good(cli: Run, folder: Path) -> None:
    assert "Nothing was deleted." in cli("files", "trash", "churn").err + cli("files", "trash", "churn").out
    for _ in range(2):
        (folder / "a.ipynb").write_bytes(b"two")
        Trash(folder).discard("a.ipynb", by="")
    assert "a.ipynb" in cli("files", "undelete", "churn:a.ipynb").out
    assert (folder / "a.ipynb").exists()
    [left] = cli("files", "trash", "churn", "--json").data
    assert cli("files", "erase", f"churn:{left['id']}", "--json").data["code"] == "confirmation-needed"
    assert cli("files", "erase", f"churn:{left['id']}", "--yes").code == 0
    assert cli("files", "undelete", "churn:a.ipynb").code == 5


def test_python_does_the_same(server: ControlPlane, folder: Path) -> None:
    with Studiolo(server.url, server.key) as client:
        _, oldest = client.versions.list("churn", "a.ipynb", page_size=1)
        held = io.BytesIO()
        assert client.versions.download("churn", "a.ipynb", oldest.id, held) == 3
        assert held.getvalue() == b"one"
        assert client.versions.restore("churn", "a.ipynb", oldest.id).origin == "restore"
        Trash(folder).discard("a.ipynb", by="")
        [deleted] = client.file_trash.list("churn")
        assert client.file_trash.restore("churn", deleted.id).path == "a.ipynb"
        with pytest.raises(NotFound, match="trash"):
            client.file_trash.erase("churn", deleted.id)
    assert (folder / "a.ipynb").read_bytes() == b"one"
