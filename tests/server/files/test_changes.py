"""What is listed, looked at and changed by REST; and who may."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from server.conftest import eventually
from server.files.conftest import Stage
from server.files.test_bytes import BYTES, TUS, begin, code, metadata, upload
from studiolo.contract.models import KeyCreate, MemberSet
from studiolo.contract.operations import Role
from studiolo.runtime.history.versions import Versions
from studiolo.server.principal import OPERATOR


async def listed(client: httpx.AsyncClient, stage: Stage, path: str = "", **asked: str | int) -> list[str]:
    reply = await client.get(stage.api, params={"path": path, **asked})
    assert reply.status_code == 200, reply.text
    return [entry["name"] for entry in reply.json()["items"]]


async def test_a_folder_is_listed_page_by_page(stage: Stage) -> None:
    for name in ("b.txt", "A.txt", "日本.csv"):
        (stage.folder / name).touch()
    (stage.folder / ".studiolo").mkdir(exist_ok=True)
    assert await listed(stage.ana, stage) == ["notebooks", "A.txt", "b.txt", "日本.csv"]
    assert await listed(stage.ana, stage, filter="TXT") == ["A.txt", "b.txt"]
    first = (await stage.ana.get(stage.api, params={"limit": 3})).json()
    rest = (await stage.ana.get(stage.api, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [entry["name"] for entry in rest["items"]] == ["日本.csv"]
    assert rest["next_cursor"] is None
    info = (await stage.ana.get(f"{stage.api}/info", params={"path": "日本.csv"})).json()
    assert (info["kind"], info["size"], info["path"]) == ("file", 0, "日本.csv")
    assert code(await stage.ana.get(stage.api, params={"path": "gone"})) == (404, "file-not-found")
    assert code(await stage.ana.get(stage.api, params={"path": ".studiolo"})) == (422, "name-reserved")


async def test_every_change_is_made_and_recorded_once(stage: Stage) -> None:
    made = await stage.ana.post(f"{stage.api}/folders", json={"path": "a/b"})
    assert (made.status_code, made.json()["path"]) == (201, "a/b")
    copied = await stage.ana.post(f"{stage.api}/copy", json={"path": "notebooks/welcome.ipynb", "to": "a/b/w.ipynb"})
    assert (copied.status_code, copied.json()["kind"]) == (201, "file")
    moved = await stage.ana.post(f"{stage.api}/move", json={"path": "a/b/w.ipynb", "to": "a/w 2.ipynb"})
    assert moved.json()["name"] == "w 2.ipynb"
    gone = await stage.ana.delete(stage.api, params={"path": "a"})
    assert gone.status_code == 204
    assert gone.headers["studiolo-trash"]
    assert not (stage.folder / "a").exists()
    assert await stage.actions() == ["file.mkdir", "file.copy", "file.move", "file.delete"]


@pytest.mark.parametrize(
    ("verb", "body", "expected"),
    [
        ("folders", {"path": "notebooks"}, (409, "file-exists")),
        ("folders", {"path": "../x"}, (422, "path-outside")),
        ("folders", {"path": ".studiolo/x"}, (422, "name-reserved")),
        ("move", {"path": "notebooks", "to": "notebooks/inner"}, (422, "folder-into-itself")),
        ("copy", {"path": "notebooks", "to": "notebooks/inner"}, (422, "folder-into-itself")),
        ("move", {"path": "gone", "to": "x"}, (404, "file-not-found")),
        ("copy", {"path": "gone", "to": "x"}, (404, "file-not-found")),
        ("move", {"path": "notebooks", "to": "taken"}, (409, "file-exists")),
        ("copy", {"path": "notebooks", "to": "taken"}, (409, "file-exists")),
        ("move", {"path": "link/x", "to": "y"}, (409, "link-not-written")),
        ("move", {"path": "taken", "to": "link/x"}, (409, "link-not-written")),
    ],
)
async def test_a_refused_change_leaves_no_trace(
    stage: Stage, verb: str, body: dict[str, str], expected: tuple[int, str]
) -> None:
    (stage.folder / "taken").write_text("taken")
    (stage.folder / "link").symlink_to("/tmp")
    before = sorted(path.name for path in stage.folder.iterdir() if path.name != ".studiolo")
    assert code(await stage.ana.post(f"{stage.api}/{verb}", json=body)) == expected
    assert sorted(path.name for path in stage.folder.iterdir() if path.name != ".studiolo") == before
    assert await stage.actions() == []


async def test_of_two_moves_to_one_name_one_wins(stage: Stage) -> None:
    for name in ("one", "two"):
        (stage.folder / name).write_text(name)
    moves = [stage.ana.post(f"{stage.api}/move", json={"path": name, "to": "there"}) for name in ("one", "two")]
    replies = await asyncio.gather(*moves)
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    assert await stage.actions() == ["file.move"]


@pytest.mark.req("S0-79")
async def test_roles_and_scopes_are_kept_on_every_address(stage: Stage) -> None:
    services = stage.services
    viewer, stranger = await stage.people.add("vera"), await stage.people.add("leo")
    await services.members.set_member(stage.owner, stage.workspace.id, MemberSet(person="vera", role=Role.VIEWER))
    reads, writes = f"{stage.files}/raw/notebooks/welcome.ipynb", f"{stage.files}/uploads"
    vera, leo = await stage.client_of(viewer), await stage.client_of(stranger)
    assert (await vera.get(reads)).status_code == 200
    assert await listed(vera, stage) == ["notebooks"]
    headers = {**TUS, "Upload-Length": "1", **metadata(path="x")}
    assert code(await vera.post(writes, headers=headers)) == (403, "denied")
    assert code(await vera.post(f"{stage.api}/folders", json={"path": "x"})) == (403, "denied")
    assert code(await vera.delete(stage.api, params={"path": "notebooks"})) == (403, "denied")
    assert code(await leo.get(reads)) == (404, "workspace-not-found")
    assert code(await leo.post(writes, headers=headers)) == (404, "workspace-not-found")
    assert code(await leo.get(stage.api)) == (404, "workspace-not-found")
    nobody = {"Authorization": ""}
    assert code(await stage.ana.get(reads, headers=nobody)) == (401, "not-signed-in")
    narrow = (await services.keys.create_key(stage.owner, KeyCreate(name="n", scopes=["files:read"]))).key
    by_key = {"Authorization": f"Bearer {narrow}"}
    assert (await stage.ana.get(reads, headers=by_key)).status_code == 200
    assert code(await stage.ana.post(writes, headers=headers | by_key)) == (403, "scope-missing")
    sessions = (await services.keys.create_key(stage.owner, KeyCreate(name="s", scopes=["sessions:write"]))).key
    assert (await stage.ana.get(reads, headers={"Authorization": f"Bearer {sessions}"})).status_code == 200
    other = (await services.keys.create_key(stage.owner, KeyCreate(name="o", scopes=["workspaces:read"]))).key
    assert code(await stage.ana.get(reads, headers={"Authorization": f"Bearer {other}"})) == (403, "scope-missing")


async def test_a_change_by_cookie_needs_our_own_origin(stage: Stage) -> None:
    login = await sign_in(stage)
    headers = {**TUS, "Upload-Length": "1", **metadata(path="x"), "Authorization": "", "Cookie": login}
    reads = f"{stage.files}/raw/notebooks/welcome.ipynb"
    by_cookie = {"Authorization": "", "Cookie": login}
    assert (await stage.ana.get(reads, headers=by_cookie)).status_code == 200
    own = f"http://localhost:{stage.services.settings.port}"
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": f"{own}0"}, {"Origin": "null"}):
        assert code(await stage.ana.post(f"{stage.files}/uploads", headers=headers | origin)) == (
            403,
            "origin-mismatch",
        )
    assert (await stage.ana.post(f"{stage.files}/uploads", headers=headers | {"Origin": own})).status_code == 201
    nobody = headers | {"Cookie": ""}
    assert code(await stage.ana.post(f"{stage.files}/uploads", headers=nobody)) == (401, "not-signed-in")


async def test_a_link_to_a_file_leads_a_browser_to_the_sign_in(stage: Stage) -> None:
    headers = {"Authorization": "", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    reply = await stage.ana.get(f"{stage.files}/zip?path=notebooks", headers=headers)
    assert reply.status_code == 303
    assert reply.headers["location"] == f"/sign-in?next=%2Ffiles%2F{stage.workspace.id}%2Fzip%3Fpath%3Dnotebooks"


async def sign_in(stage: Stage) -> str:
    """Sign Ana in as a browser does; returns the Cookie header."""
    link = await stage.services.accounts.create_sign_in_link(OPERATOR, "ana")
    token = await stage.services.accounts.sign_in_link(link.url.partition("link=")[2], "browser")
    return f"{stage.services.cookies.login}={token}"


async def test_a_transfer_ends_soon_after_the_right_to_it(stage: Stage) -> None:
    editor = await stage.people.add("edi")
    await stage.services.members.set_member(stage.owner, stage.workspace.id, MemberSet(person="edi", role=Role.EDITOR))
    edi = await stage.client_of(editor)
    place = (await begin(stage, 1 << 30, edi, path="endless")).headers["location"]
    arrived = stage.folder / ".studiolo" / "parts" / f"{place.rpartition('/')[2]}.data"

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0.005)

    headers = {**BYTES, "Upload-Offset": "0"}
    sending = asyncio.create_task(edi.patch(place, headers=headers, content=endless()))

    async def has_begun() -> bool:
        return arrived.stat().st_size > 0

    await eventually(has_begun, within=timedelta(seconds=60))
    await stage.services.members.remove_member(stage.owner, stage.workspace.id, "edi")
    async with asyncio.timeout(60):
        # The front door answers in the host's stead, or breaks off too.
        with contextlib.suppress(httpx.TransportError):
            assert (await sending).status_code >= 400
    assert code(await edi.get(stage.api)) == (404, "workspace-not-found")


async def test_names_that_are_no_text_are_listed_fetched_and_renamed(stage: Stage) -> None:
    Path(os.fsdecode(os.fsencode(stage.folder) + b"/caf\xe9.txt")).write_bytes(b"coffee")
    entry = next(e for e in (await stage.ana.get(stage.api)).json()["items"] if not e["is_text"])
    assert (await stage.ana.get(f"{stage.files}/raw/{entry['path']}")).content == b"coffee"
    moved = await stage.ana.post(f"{stage.api}/move", json={"path": entry["path"], "to": "café.txt"})
    assert moved.json()["is_text"]
    assert (stage.folder / "café.txt").read_bytes() == b"coffee"


async def test_an_overwritten_notebook_keeps_its_versions(stage: Stage) -> None:
    await upload(stage, "n.ipynb", b'{"cells": []}')
    (stage.folder / "n.ipynb").write_bytes(b'{"cells": [1]}')
    await upload(stage, "n.ipynb", b'{"cells": [2]}', overwrite="yes")
    versions = Versions(stage.folder)
    kept = {versions.read(version) for version in versions.list_("n.ipynb")}
    assert kept == {b'{"cells": []}', b'{"cells": [1]}', b'{"cells": [2]}'}
