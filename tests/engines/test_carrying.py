"""Files are carried through one client, whichever way its calls take; what the other end says is anybody's word."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.errors import StudioloError
from studiolo.engines.base import Handle, StoredEntry, WorkloadSpec
from studiolo.engines.carrying import CarriedStore, calls_by, folder_store
from studiolo.runtime.carried import CarriedFolder, answer
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.engine_contract.storing import *  # noqa: F403
from studiolo.testing.keeping_engine import KeepingEngine


@pytest.fixture
def case(tmp_path: Path) -> EngineCase:
    async def crash(handle: Handle) -> None:
        raise NotImplementedError

    def make_spec() -> WorkloadSpec:
        return WorkloadSpec("s-1", 1, Path("/w"), Path("/e"), "/", "")

    return EngineCase(KeepingEngine("pods", tmp_path), make_spec, dict, crash, carries_files=True)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "move-no-room"),
        (errno.EDQUOT, "move-no-room"),
        (errno.ENOENT, "move-file-changed"),
        (errno.ELOOP, "move-file-changed"),
        (errno.EACCES, "move-file-refused"),
        (errno.EIO, "move-failed"),
    ],
)
async def test_what_fails_there_is_told_by_its_kind(number: int, code: str) -> None:
    async def call(name: str, arguments: Mapping[str, Any], block: bytes, seconds: float) -> tuple[Any, bytes]:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StudioloError) as failed:
        await CarriedStore(call).write(os.fsdecode(b"na\xefve"), 0, b"x")
    assert failed.value.code == code
    failed.value.message.encode()


@pytest.mark.parametrize(
    "entry",
    [
        ["a", "device", 0, 0, 0, ""],
        ["a", "file", -1, 0, 0, ""],
        ["a", "file", "1", 0, 0, ""],
        [None, "file", 1, 0, 0, ""],
        ["a", "file"],
        {"path": "a"},
    ],
)
async def test_a_listing_that_makes_no_sense_is_refused(entry: object) -> None:
    async def call(name: str, arguments: Mapping[str, Any], block: bytes, seconds: float) -> tuple[Any, bytes]:
        return [entry], b""

    with pytest.raises(StudioloError, match="cannot be read"):
        [entry async for entry in CarriedStore(call).list_entries()]


async def test_calls_travel_as_one_body_and_come_back_as_one(tmp_path: Path) -> None:
    folder = CarriedFolder(str(tmp_path))

    async def exchange(body: bytes, seconds: float) -> bytes:
        return answer(folder, body)

    store = CarriedStore(calls_by(exchange))
    await store.write("a\nb", 0, b"\n\x00{}\n")
    assert await store.read("a\nb", 0, 100) == b"\n\x00{}\n"
    with pytest.raises(StudioloError, match="no place within a workspace"):
        await store.read("../a", 0, 1)
    assert answer(folder, b'{"name": "_walk", "arguments": {}}\n').startswith(b'{"refused"')
    assert answer(folder, b"[]").startswith(b'{"refused"')


async def test_modes_and_owners_are_those_of_the_folder_and_never_of_another_account(tmp_path: Path) -> None:
    root = tmp_path / "w"
    root.mkdir()
    if os.geteuid() == 0:
        os.chown(root, 1234, 1235)
    store = folder_store(root)
    await store.write("run", 0, b"x")
    await store.finish(StoredEntry("run", "file", 1, 0, 0o4755))
    seen = (root / "run").stat()
    assert seen.st_mode & 0o7777 == 0o755
    assert (seen.st_uid, seen.st_gid) == (root.stat().st_uid, root.stat().st_gid)


async def test_what_is_no_file_stays_behind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found" / "x").touch()
    (tmp_path / "kept").touch()
    store = folder_store(tmp_path)
    assert [entry.path async for entry in store.list_entries()] == ["kept"]
    await store.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lost+found"]
