"""Claims about engines that keep workspaces' files themselves: what Stores and Store promise."""

import hashlib
import os
from pathlib import Path

import pytest

from studiolo.contract.errors import Conflict, Denied
from studiolo.engines.base import Store, StoredEntry, StoredPlace, Stores
from studiolo.testing.engine_contract.case import EngineCase

__all__ = [
    "test_forgetting_files_twice_succeeds",
    "test_nothing_is_read_or_written_outside_of_a_store",
    "test_what_was_stored_is_there_at_the_next_opening",
]
_BLOCK = 4 << 20
_MODIFIED_NS = 1_600_000_000 * 10**9


async def test_what_was_stored_is_there_at_the_next_opening(case: EngineCase) -> None:
    engine, place = _stores(case)
    content = os.urandom(_BLOCK + 17)
    large = StoredEntry(".git/objects/large", "file", len(content), _MODIFIED_NS, 0o640)
    empty = StoredEntry(os.fsdecode(b"na\xefve.txt"), "file", 0, _MODIFIED_NS, 0o644)
    folder, link = StoredEntry("a folder", "folder", mode=0o755), StoredEntry("link", "link", target="a folder")
    try:
        async with engine.open_store(place) as store:
            assert await _list(store) == {}
            assert await store.room() > len(content)
            for entry in (StoredEntry(".git", "folder"), StoredEntry(".git/objects", "folder"), folder, link, link):
                await store.make(entry)
            await store.write(large.path, 0, content[:_BLOCK])
            await store.write(large.path, _BLOCK, content[_BLOCK:])
            await store.write(empty.path, 0, b"")
            for entry in (large, empty):
                await store.finish(entry)
            await store.settle()
        async with engine.open_store(place) as store:
            found = await _list(store)
            assert found[large.path] == large
            assert found[empty.path] == empty
            assert (found["link"].kind, found["link"].target) == ("link", "a folder")
            assert found["a folder"].kind == "folder"
            assert await store.digest(large) == hashlib.sha256(content).hexdigest()
            assert await store.read(large.path, _BLOCK - 3, 100) == content[_BLOCK - 3 :]
            for path in (".git", "link", "gone"):
                await store.remove(path)
            assert set(await _list(store)) == {"a folder", empty.path}
            await store.clear()
            assert await _list(store) == {}
    finally:
        await engine.forget_store(place)


async def test_nothing_is_read_or_written_outside_of_a_store(case: EngineCase) -> None:
    engine, place = _stores(case)
    try:
        async with engine.open_store(place) as store:
            for path in ("../outside", "/tmp/outside", "a/../../outside", ""):  # noqa: S108
                with pytest.raises(Denied):
                    await store.write(path, 0, b"x")
            await store.make(StoredEntry("out", "link", target="/"))
            with pytest.raises(Conflict):
                await store.read("out/etc/hostname", 0, 10)
            with pytest.raises(Conflict):
                await store.write("out/tmp/outside", 0, b"x")
            await store.clear()
    finally:
        await engine.forget_store(place)


async def test_forgetting_files_twice_succeeds(case: EngineCase) -> None:
    engine, place = _stores(case)
    await engine.forget_store(place)
    await engine.forget_store(place)


async def _list(store: Store) -> dict[str, StoredEntry]:
    return {entry.path: entry async for entry in store.list_entries()}


def _stores(case: EngineCase) -> tuple[Stores, StoredPlace]:
    if not case.carries_files:
        pytest.skip("this case of the engine carries no files")
    assert isinstance(case.engine, Stores)
    spec = case.make_spec()
    return case.engine, StoredPlace(Path("/workspaces", spec.workload_id), "churn", spec.person)
