"""Saving and deleting through a session's server: what is refused, what is kept, what JupyterLab is told."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from studiolo.runtime.history.trash import Trash
from studiolo.runtime.history.versions import Version, Versions
from studiolo.testing.fixtures import LocalBench

NOTEBOOK = "api/contents/notebooks/work.ipynb"
PATH = "notebooks/work.ipynb"
ANA = "p-0000000000000001"


@pytest.fixture
async def http(bench: LocalBench) -> Any:
    client = bench.client(await bench.start_ready())
    async with client.http() as opened:
        yield opened


@pytest.fixture
def versions(bench: LocalBench) -> Versions:
    return Versions(bench.workspace)


def notebook(text: str) -> dict[str, Any]:
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": text}
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


async def put(http: httpx.AsyncClient, text: str, **more: str) -> httpx.Response:
    model = {"type": "notebook", "format": "json", "content": notebook(text)} | more
    return await http.put(NOTEBOOK, json=model)


async def read_hash(http: httpx.AsyncClient) -> str:
    """Ask as JupyterLab does before and after it saves."""
    model = (await http.get(NOTEBOOK, params={"content": "0", "hash": "1"})).json()
    return str(model["hash"])


def write_outside(bench: LocalBench, text: str) -> bytes:
    content = json.dumps(notebook(text)).encode()
    (bench.workspace / PATH).write_bytes(content)
    return content


async def listed(versions: Versions, until: Callable[[list[Version]], bool]) -> list[Version]:
    async with asyncio.timeout(60):
        while not until(found := versions.list_(PATH)):
            await asyncio.sleep(0.01)
    return found


def text_of(versions: Versions, version: Version) -> str:
    return "".join(json.loads(versions.read(version))["cells"][0]["source"])


@pytest.mark.req("S2-06")
async def test_a_save_over_what_changed_since_it_was_loaded_is_refused_and_kept(
    bench: LocalBench, http: httpx.AsyncClient, versions: Versions
) -> None:
    assert (await put(http, "mine 1")).status_code == 201
    theirs = write_outside(bench, "theirs")
    # The same time and size say nothing: content does.
    os.utime(bench.workspace / PATH, (1, 1))
    refused = await put(http, "mine 2")
    assert refused.status_code == 409
    answer = refused.json()
    assert "is not lost" in answer["message"]
    assert (bench.workspace / PATH).read_bytes() == theirs
    kept = versions.find(PATH, answer["reason"].removeprefix("conflict-"))
    assert kept is not None
    assert (kept.how, kept.by, text_of(versions, kept)) == ("conflict", ANA, "mine 2")
    # Nothing was seen of theirs yet: the next one is refused, too.
    assert (await put(http, "mine 3")).status_code == 409


async def test_a_save_is_taken_once_its_writer_knows_what_is_there(bench: LocalBench, http: httpx.AsyncClient) -> None:
    await put(http, "mine 1")
    theirs = write_outside(bench, "theirs")
    assert (await put(http, "by hash", hash=hashlib.sha256(theirs).hexdigest())).status_code == 200
    write_outside(bench, "theirs again")
    assert (await http.get(NOTEBOOK)).status_code == 200
    assert (await put(http, "after reading")).status_code == 200
    write_outside(bench, "theirs once more")
    await read_hash(http)
    await read_hash(http)
    # JupyterLab has asked whether to overwrite: it compares the hash it was told with its own.
    assert (await put(http, "overwritten")).status_code == 200


async def test_a_save_between_a_save_and_jupyterlabs_question_after_it_is_noticed(
    bench: LocalBench, http: httpx.AsyncClient
) -> None:
    saved = await put(http, "mine")
    write_outside(bench, "theirs")
    assert await read_hash(http) == saved.json()["hash"]
    assert await read_hash(http) != saved.json()["hash"]


async def test_the_same_content_from_elsewhere_is_no_conflict(bench: LocalBench, http: httpx.AsyncClient) -> None:
    await put(http, "one")
    same = (bench.workspace / PATH).read_bytes()
    await put(http, "two")
    (bench.workspace / PATH).write_bytes(same)
    assert (await put(http, "one")).status_code == 200


async def test_each_save_of_a_notebook_is_kept_with_its_writer(
    bench: LocalBench, http: httpx.AsyncClient, versions: Versions
) -> None:
    for text in ("one", "two", "three"):
        await put(http, text)
    found = await listed(versions, lambda kept: len(kept) >= 3)
    assert [text_of(versions, version) for version in found] == ["three", "two", "one"]
    assert {(version.how, version.by) for version in found} == {("session", ANA)}
    write_outside(bench, "outside")
    await http.get(NOTEBOOK)
    await put(http, "four")
    found = await listed(versions, lambda kept: len(kept) >= 5)
    assert [version.how for version in found] == ["session", "outside", "session", "session", "session"]


async def test_other_files_are_watched_over_as_well(
    bench: LocalBench, http: httpx.AsyncClient, versions: Versions
) -> None:
    model = {"type": "file", "format": "text", "content": "mine"}
    assert (await http.put("api/contents/a.py", json=model)).status_code == 201
    (bench.workspace / "a.py").write_text("theirs")
    assert (await http.put("api/contents/a.py", json=model | {"content": "more"})).status_code == 409
    assert (bench.workspace / "a.py").read_text() == "theirs"
    assert versions.list_("a.py")[0].how == "conflict"


async def test_versions_go_where_a_renamed_file_goes(http: httpx.AsyncClient, versions: Versions) -> None:
    await put(http, "one")
    assert (await http.patch(NOTEBOOK, json={"path": "notebooks/new.ipynb"})).status_code == 200
    assert [version.path for version in versions.list_("notebooks/new.ipynb")] == [PATH]
    assert (await http.patch("api/contents/notebooks", json={"path": "books"})).status_code == 200
    assert [version.path for version in versions.list_("books/new.ipynb")] == [PATH]
    model = {"type": "notebook", "format": "json", "content": notebook("two")}
    assert (await http.put("api/contents/books/new.ipynb", json=model)).status_code == 200


async def test_what_is_deleted_lies_in_the_workspaces_trash(bench: LocalBench, http: httpx.AsyncClient) -> None:
    await put(http, "one")
    (bench.workspace / "full").mkdir()
    (bench.workspace / "full" / "file").touch()
    assert (await http.delete(NOTEBOOK)).status_code == 204
    assert (await http.delete("api/contents/full")).status_code == 204
    assert (await http.delete("api/contents/absent")).status_code == 404
    trash = Trash(bench.workspace)
    assert [(what.path, what.by) for what in trash.list_()] == [("full", ANA), (PATH, ANA)]
    for what in trash.list_():
        trash.restore(what.id)
    assert (bench.workspace / "full" / "file").exists()
    assert (await http.get(NOTEBOOK)).json()["content"]["cells"][0]["source"] == "one"


async def test_a_link_to_a_file_stays_a_link_and_one_that_leads_out_is_not_deleted_beyond(
    bench: LocalBench, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("there")
    (bench.workspace / "out").symlink_to(outside)
    (bench.workspace / "a.txt").write_text("here")
    (bench.workspace / "link.txt").symlink_to("a.txt")
    model = {"type": "file", "format": "text", "content": "changed"}
    assert (await http.put("api/contents/link.txt", json=model)).status_code == 200
    assert (await http.put("api/contents/out/a.txt", json=model)).status_code == 200
    assert (bench.workspace / "link.txt").is_symlink()
    assert (bench.workspace / "a.txt").read_text() == (outside / "a.txt").read_text() == "changed"
    assert [version.path for version in Versions(bench.workspace).list_("a.txt")][-1:] == ["a.txt"]
    refused = await http.delete("api/contents/out/a.txt")
    assert refused.status_code == 400
    assert (outside / "a.txt").exists()


async def test_a_checkpoint_that_comes_back_replaces_nothing_for_good(
    http: httpx.AsyncClient, versions: Versions
) -> None:
    await put(http, "one")
    checkpoint = (await http.post(f"{NOTEBOOK}/checkpoints")).json()["id"]
    await put(http, "two")
    assert (await http.post(f"{NOTEBOOK}/checkpoints/{checkpoint}")).status_code == 204
    newest, before, *_ = versions.list_(PATH)
    assert (newest.how, text_of(versions, newest), text_of(versions, before)) == ("restore", "one", "two")
    assert (await put(http, "three")).status_code == 200


async def test_an_upload_in_pieces_keeps_what_it_replaces(
    bench: LocalBench, http: httpx.AsyncClient, versions: Versions
) -> None:
    write_outside(bench, "old")
    content = json.dumps(notebook("new"))
    for chunk, piece in ((1, content[:20]), (-1, content[20:])):
        model = {"type": "file", "format": "text", "content": piece, "chunk": chunk}
        assert (await http.put(NOTEBOOK, json=model)).status_code in (200, 201)
    assert [text_of(versions, version) for version in versions.list_(PATH)] == ["new", "old"]
