"""With accounts on, all that the platform makes in a workspace belongs to the workspace, and root's files stay closed."""

import io
import json
import os
import zipfile
from pathlib import Path

import httpx
import pytest

from server.files.conftest import Stage
from server.files.test_bytes import code, upload
from server.files.test_looking import search
from server.files.test_versions import PATH, listed, notebook
from studiolo.contract.details import Duplicate
from studiolo.contract.errors import InvalidInput
from studiolo.gateway.filling.cells import CellRun
from studiolo.gateway.filling.notebooks import Saved, write
from studiolo.gateway.journals.records import digest_code
from studiolo.runtime.acting import LOWEST, hand_over, is_possible
from studiolo.server.settings import Settings
from studiolo.server.settings.local import LocalSettings
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.owners import Owners

pytestmark = pytest.mark.skipif(not is_possible(), reason="only root on Linux acts for others")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"local": LocalSettings(accounts="on")})


def owners(folder: Path) -> set[tuple[int, int]]:
    """Who owns something in a folder, or itself."""
    return {(seen.st_uid, seen.st_gid) for path in (folder, *folder.rglob("*")) for seen in [path.lstat()]}


async def post(stage: Stage, what: str, **form: object) -> httpx.Response:
    reply = await stage.ana.post(f"{stage.api}/{what}", json=form)
    assert reply.is_success, reply.text
    return reply


async def test_whatever_is_made_in_a_workspace_belongs_to_it(stage: Stage) -> None:
    assert owners(stage.folder) == {(LOWEST, LOWEST)}
    assert stage.folder.stat().st_mode & 0o777 == 0o700

    for content in (notebook("one"), notebook("two")):
        assert (await upload(stage, PATH, content, overwrite="yes")).status_code == 201
    assert (await upload(stage, "new/folders/data.csv", b"a,b\n")).status_code == 201
    await post(stage, "folders", path="made/inner")
    await post(stage, "copy", path="new", to="made/copy")
    await post(stage, "move", path="made/copy", to="moved")
    deleted = await stage.ana.delete(stage.api, params={"path": "moved"})
    await post(stage, f"trash/{deleted.headers['studiolo-trash']}/restore")
    oldest = (await listed(stage))[-1]
    await post(stage, f"versions/{oldest['id']}/restore?path={PATH}")

    assert json.loads((stage.folder / PATH).read_bytes())["cells"][0]["source"] == "one"
    assert (stage.folder / "moved/folders/data.csv").read_text() == "a,b\n"
    assert owners(stage.folder) == {(LOWEST, LOWEST)}


async def test_outputs_filled_into_a_notebook_belong_to_its_workspace(stage: Stage) -> None:
    (stage.folder / PATH).write_bytes(notebook("1"))
    os.chown(stage.folder / PATH, LOWEST, LOWEST)
    runs = {"c0": CellRun("m", "s", digest_code("1"), 0.0, 1, 2, False, 7, [], changed_at=2e9)}

    assert write(stage.folder, PATH, runs).saved is Saved.WRITTEN
    assert owners(stage.folder) == {(LOWEST, LOWEST)}


async def test_copies_and_imports_belong_to_numbers_of_their_own(stage: Stage) -> None:
    assert (await upload(stage, "data/a.csv", b"a")).status_code == 201
    copy = await stage.services.copies.duplicate(stage.owner, "churn", Duplicate(name="again"))
    archive = await stage.ana.get(f"/api/v1/jupyter/workspaces/{stage.workspace.id}/archive")
    params = {"name": "third"}
    came = await stage.ana.post("/api/v1/jupyter/workspaces/import", content=archive.content, params=params)

    for number, path in enumerate((stage.workspace.path, copy.path, came.json()["workspace"]["path"])):
        assert (Path(path) / "data/a.csv").read_text() == "a"
        assert owners(Path(path)) == {(LOWEST + number, LOWEST + number)}


async def test_what_only_root_may_read_leaves_by_no_door(stage: Stage) -> None:
    # As a link does that is planted between a look and an opening.
    secret = stage.folder / "notebooks" / "secret.txt"
    secret.write_text("hush")
    secret.chmod(0o600)
    path = "notebooks/secret.txt"

    for what in ("raw", "preview"):
        assert code(await stage.ana.get(f"{stage.files}/{what}/{path}")) == (403, "file-not-permitted")
    assert (await upload(stage, "open.txt", b"hush")).status_code == 201
    found = (await search(stage, "hush")).json()
    assert [hit["path"] for hit in found["items"]] == ["open.txt"]
    copied = await stage.ana.post(f"{stage.api}/copy", json={"path": path, "to": "mine.txt"})
    assert code(copied) == (403, "file-not-permitted")
    for address in (f"{stage.files}/zip", f"/api/v1/jupyter/workspaces/{stage.workspace.id}/archive"):
        with zipfile.ZipFile(io.BytesIO((await stage.ana.get(address)).content)) as archive:
            assert path not in archive.namelist()
            assert b"secret.txt" in archive.read("LEFT-OUT.txt")
    with pytest.raises(InvalidInput):
        await stage.services.copies.duplicate(stage.owner, "churn", Duplicate(name="again"))


async def test_workspaces_from_before_change_hands_at_the_start_and_back(stage: Stage) -> None:
    folder = stage.services.settings.data_dir / "workspaces" / stage.workspace.id
    hand_over(folder, (0, 0))
    # As after a kill: some of it is done already.
    os.chown(folder / "notebooks", LOWEST, LOWEST)

    await stage.services.owners.settle()
    assert owners(folder) == {(LOWEST, LOWEST)}

    settings = stage.services.settings
    folders = Folders(settings.data_dir, [])
    await Owners(stage.services.db, folders, LocalSettings()).settle()
    assert owners(folder) == {(0, 0)}
    assert settings.data_dir.stat().st_mode & 0o777 == 0o711
    assert (settings.data_dir / "studiolo.db").stat().st_mode & 0o777 == 0o600


async def test_what_lies_beside_the_files_belongs_to_the_workspace_too(stage: Stage, tmp_path: Path) -> None:
    admin = await stage.client_of(await stage.people.add("boss", is_admin=True))
    (tmp_path / "prices").mkdir()
    form = {"name": "prices", "folder": str(tmp_path / "prices"), "everybody": True}
    assert (await admin.post("/api/v1/datasets", json=form)).is_success
    address = f"/api/v1/jupyter/workspaces/{stage.workspace.id}/sessions"
    assert (await stage.ana.post(address, params={"wait": 30})).json()["state"] == "running"

    data_dir, workspace, person = stage.services.settings.data_dir, stage.workspace.id, stage.owner.person_id
    places = ("workspaces", "environments", "datasets", f"people/{person}")
    for folder in (data_dir / place / workspace for place in places):
        assert folder.stat().st_mode & 0o777 == 0o700
        # Compiled files and the like are shared with the base, which members must not change.
        own = [path for path in folder.rglob("*") if path.is_dir() or path.lstat().st_nlink == 1]
        assert {path.lstat().st_uid for path in (folder, *own)} == {LOWEST}
    assert (stage.folder / "datasets" / "prices").is_dir()
