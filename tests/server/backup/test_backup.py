"""A backup is made while the platform works, is whole or none, and comes back as it was."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from studiolo.contract.errors import Conflict, InvalidInput, NotFound, Unavailable
from studiolo.kit.copying import fill
from studiolo.server.backup import backup as making
from studiolo.server.backup import copying
from studiolo.server.backup import format as form
from studiolo.server.backup.backup import make_backup, remove_old
from studiolo.server.backup.restore import restore
from studiolo.server.schema import HEAD
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.settings.backup import BackupSettings
from studiolo.server.settings.environment import plain_environment, settings_environment

W = "/api/v1/jupyter/workspaces"
KEPT = ("workspaces", "people", "secrets")


@pytest.fixture
async def files(ana: httpx.AsyncClient, services: Services) -> Path:
    """The folder of a workspace that holds a bit of everything."""
    folder = Path((await ana.post(W, json={"name": "churn"})).json()["path"])
    (folder / "data").mkdir()
    (folder / "data" / "ünï code.csv").write_text("1,2\n")
    (folder / "data" / os.fsdecode(b"no\xfftext")).write_bytes(b"\0" * 5000)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("../elsewhere")
    (folder / "data.txt").write_text("sorts between data and what is in it")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 26)
    os.mkfifo(folder / "pipe")
    own = services.settings.data_dir / "people" / "p-1" / "w-1"
    (own / "lab").mkdir(parents=True)
    (own / "lab" / "tabs.json").write_text("{}")
    (own / "cache").mkdir()
    (own / "cache" / "wheel").write_text("can be loaded again")
    return folder


def tree(data_dir: Path) -> dict[str, object]:
    """What lies in a data directory, as far as a backup holds it: content, modes and times."""
    found: dict[str, object] = {}
    for top in KEPT:
        for path in sorted((data_dir / top).rglob("*")):
            seen, name = path.lstat(), str(path.relative_to(data_dir))
            if "cache" in path.parts or path.is_fifo():
                continue
            content = str(path.readlink()) if path.is_symlink() else path.is_dir() or path.read_bytes()
            time = 0 if path.is_symlink() else seen.st_mtime_ns
            found[name] = (oct(seen.st_mode), time, content)
    return found


async def test_what_is_restored_is_byte_for_byte_what_was_there(
    files: Path, settings: Settings, tmp_path: Path
) -> None:
    made = make_backup(settings, tmp_path / "to")
    manifest = restore(made, Settings(data_dir=tmp_path / "new"))
    before, after = tree(settings.data_dir), tree(tmp_path / "new")
    before.pop(str(files.relative_to(settings.data_dir) / "sparse"))
    sparse = tmp_path / "new" / files.relative_to(settings.data_dir) / "sparse"
    after.pop(str(sparse.relative_to(tmp_path / "new")))
    assert after == before
    assert (sparse.stat().st_size, sparse.stat().st_blocks < 1000) == (1 << 26, True)
    assert (manifest.people, manifest.workspaces, manifest.left_out) == (1, 1, [])
    with sqlite3.connect(tmp_path / "new" / "studiolo.db") as database:
        assert database.execute("SELECT name FROM workspaces").fetchall() == [("churn",)]
    database.close()
    assert (tmp_path / "new" / "secrets" / "master.key").stat().st_mode & 0o777 == 0o600
    # By their folder it is known that no session is there.
    assert not list((tmp_path / "new" / "sessions").iterdir())
    assert not (tmp_path / "new.restoring").exists()


async def test_a_second_backup_copies_only_what_changed(files: Path, settings: Settings, tmp_path: Path) -> None:
    first = make_backup(settings, tmp_path / "to")
    (files / "data.txt").write_text("changed")
    second = make_backup(settings, tmp_path / "to")
    inner = Path(form.DATA) / files.relative_to(settings.data_dir)
    assert (first / inner / "run.sh").samefile(second / inner / "run.sh")
    assert not (first / inner / "data.txt").samefile(second / inner / "data.txt")
    assert (first / inner / "data.txt").read_text() == "sorts between data and what is in it"
    copied = form.read_manifest(second)
    assert copied.copied_bytes - copied.database.size == len("changed")
    restore(second, Settings(data_dir=tmp_path / "new"))
    assert (tmp_path / "new" / files.relative_to(settings.data_dir) / "data.txt").read_text() == "changed"


async def test_a_broken_off_backup_is_none_and_is_cleared_away(
    files: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(making, "_copy_files", killed)
        # As after a kill: nobody clears up.
        broken.setattr(making.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(SystemExit):
            make_backup(settings, tmp_path / "to")
    (left,) = (tmp_path / "to").glob("studiolo-*")
    assert form.list_backups(tmp_path / "to") == []
    with pytest.raises(NotFound, match="no complete backup"):
        restore(left, Settings(data_dir=tmp_path / "new"))
    made = make_backup(settings, tmp_path / "to")
    assert list((tmp_path / "to").glob("studiolo-*")) == [made]


async def test_a_backup_that_is_killed_is_none(files: Path, settings: Settings, tmp_path: Path) -> None:
    with (files / "large").open("wb") as large:
        large.truncate(1 << 36)
    own = settings.model_copy(update={"backup": BackupSettings(folder=tmp_path / "to")})
    environment = plain_environment() | settings_environment(own)
    with subprocess.Popen([sys.executable, "-m", "studiolo.server.backup"], env=environment) as process:
        async with asyncio.timeout(60):
            while not list((tmp_path / "to").glob(f"*/{form.DATA}/workspaces/*/large")):
                assert process.poll() is None
                await asyncio.sleep(0.02)
        process.kill()
    assert list((tmp_path / "to").glob("studiolo-*"))
    assert form.list_backups(tmp_path / "to") == []
    (files / "large").unlink()
    made = make_backup(own, tmp_path / "to")
    assert list((tmp_path / "to").glob("studiolo-*")) == [made]


async def test_a_file_that_changes_while_it_is_copied_is_copied_again(
    files: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0

    def fill_and_change(source: int, copy: int) -> None:
        nonlocal times
        fill(source, copy)
        if os.fstat(source).st_ino == (files / "data.txt").stat().st_ino:
            times += 1
            if times == 1:
                (files / "data.txt").write_text("changed meanwhile")

    monkeypatch.setattr(copying, "fill", fill_and_change)
    made = make_backup(settings, tmp_path / "to")
    held = made / form.DATA / files.relative_to(settings.data_dir) / "data.txt"
    assert (times, held.read_text()) == (2, "changed meanwhile")


async def test_a_damaged_backup_is_refused_and_nothing_is_restored(
    files: Path, settings: Settings, tmp_path: Path
) -> None:
    made = make_backup(settings, tmp_path / "to")
    (made / form.DATA / files.relative_to(settings.data_dir) / "run.sh").write_text("#!/bin/sh -x\n")
    with pytest.raises(InvalidInput, match=r"run\.sh") as caught:
        restore(made, Settings(data_dir=tmp_path / "new"))
    assert caught.value.code == "backup-damaged"
    assert not (tmp_path / "new").exists()


async def test_a_folder_in_use_and_a_newer_schema_are_refused(files: Path, settings: Settings, tmp_path: Path) -> None:
    made = make_backup(settings, tmp_path / "to")
    with pytest.raises(Conflict) as caught:
        restore(made, settings)
    assert caught.value.code == "restore-not-empty"
    told = json.loads((made / form.MANIFEST).read_text())
    (made / form.MANIFEST).write_text(json.dumps(told | {"schema_version": f"{int(HEAD) + 1:04}"}))
    with pytest.raises(Conflict) as caught:
        restore(made, Settings(data_dir=tmp_path / "new"))
    assert caught.value.code == "schema-newer"


async def test_what_does_not_fit_is_said_before_anything_is_copied(
    files: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "_RESERVE_BYTES", 1 << 60)
    with pytest.raises(Unavailable) as caught:
        make_backup(settings, tmp_path / "to")
    assert caught.value.code == "disk-full"
    assert list((tmp_path / "to").glob("studiolo-*")) == []


async def test_only_the_newest_are_kept_and_each_stays_whole(files: Path, settings: Settings, tmp_path: Path) -> None:
    made = [make_backup(settings, tmp_path / "to") for _ in range(3)]
    remove_old(tmp_path / "to", 1)
    assert form.list_backups(tmp_path / "to") == [made[-1]]
    restore(made[-1], Settings(data_dir=tmp_path / "new"))


async def test_a_backup_cannot_lie_in_what_it_holds(files: Path, settings: Settings) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_backup(settings, files / "backups")
    assert caught.value.code == "folder-not-allowed"
