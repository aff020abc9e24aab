"""What files were, from outside: listed, read, compared, brought back; the trash of a workspace."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.files.conftest import Stage
from studiolo.contract.models import MemberSet
from studiolo.contract.operations import Role
from studiolo.runtime.history.trash import Trash
from studiolo.runtime.history.versions import Versions

PATH = "notebooks/work 1.ipynb"


def notebook(*sources: str, **outputs: str) -> bytes:
    cells: list[dict[str, Any]] = []
    for number, source in enumerate(sources):
        shown = outputs.get(f"c{number}")
        streams = [{"output_type": "stream", "name": "stdout", "text": shown}] if shown else []
        code = {"cell_type": "code", "id": f"c{number}", "execution_count": None, "outputs": streams}
        cells.append(code | {"metadata": {}, "source": source})
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def keep(stage: Stage, *contents: bytes, path: str = PATH) -> list[str]:
    """Have a file be each of these in turn; returns the ids of its versions."""
    versions = Versions(stage.folder)
    (stage.folder / path).write_bytes(contents[-1])
    return [versions.keep(path, content, by=stage.owner.person_id, how="session").id for content in contents]


async def listed(stage: Stage, path: str = PATH) -> list[dict[str, Any]]:
    reply = await stage.ana.get(f"{stage.api}/versions", params={"path": path})
    assert reply.status_code == 200, reply.text
    items: list[dict[str, Any]] = reply.json()["items"]
    return items


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["code"]


@pytest.mark.req("S2-06")
async def test_a_version_comes_back_and_that_is_a_version_too(stage: Stage) -> None:
    first, _ = keep(stage, notebook("one"), notebook("two"))
    (stage.folder / PATH).write_bytes(notebook("written in a terminal"))
    reply = await stage.ana.post(f"{stage.api}/versions/{first}/restore", params={"path": PATH})
    assert reply.status_code == 200, reply.text
    assert (stage.folder / PATH).read_bytes() == notebook("one")
    versions = await listed(stage)
    assert [version["origin"] for version in versions] == ["restore", "outside", "session", "session"]
    assert [version["is_current"] for version in versions] == [True, False, False, True]
    assert versions[0]["by"]["name"] == "ana"
    content = await stage.ana.get(f"{stage.api}/versions/{versions[1]['id']}", params={"path": PATH})
    assert content.content == notebook("written in a terminal")
    assert content.headers["content-disposition"] == "attachment; filename*=UTF-8''work%201.ipynb"
    assert await stage.actions() == ["file.restore"]


async def test_a_file_that_is_gone_comes_back_from_its_versions(stage: Stage) -> None:
    [only] = keep(stage, notebook("one"))
    (stage.folder / PATH).unlink()
    (stage.folder / "notebooks" / "welcome.ipynb").unlink()
    (stage.folder / "notebooks").rmdir()
    reply = await stage.ana.post(f"{stage.api}/versions/{only}/restore", params={"path": PATH})
    assert reply.status_code == 200, reply.text
    assert (stage.folder / PATH).read_bytes() == notebook("one")


async def test_versions_come_page_by_page(stage: Stage) -> None:
    ids = keep(stage, *(notebook(str(number)) for number in range(5)))
    found: list[str] = []
    cursor = None
    while True:
        params = {"path": PATH, "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await stage.ana.get(f"{stage.api}/versions", params=params)).json()
        found += [version["id"] for version in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == ids[::-1]


async def test_two_versions_are_told_cell_by_cell(stage: Stage) -> None:
    before = notebook("import pandas", "x = 1\nprint(x)\nshow(x)", "left = 1 + 1 + 1", c0="a")
    after = notebook("import pandas", "x = 1\nprint(x + 1)\nshow(x)", "entirely(different)", c0="a" * 1000)
    after = after.replace(b'"id": "c2"', b'"id": "new"')
    first, second = keep(stage, before, after)
    asked = {"path": PATH, "from": first, "to": second}
    reply = await stage.ana.get(f"{stage.api}/difference", params=asked)
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert (told["is_notebook"], told["same_cells"], told["is_cut"]) == (True, 0, False)
    cells = {(cell["change"], cell["before"], cell["after"]): cell for cell in told["cells"]}
    assert set(cells) == {("changed", 1, 1), ("changed", 2, 2), ("removed", 3, None), ("added", None, 3)}
    outputs = cells["changed", 1, 1]
    assert outputs["has_other_outputs"]
    assert outputs["output_bytes_after"] - outputs["output_bytes_before"] == 999
    lines = [(line["change"], line["text"]) for line in cells["changed", 2, 2]["lines"]]
    assert lines == [("same", "x = 1"), ("removed", "print(x)"), ("added", "print(x + 1)"), ("same", "show(x)")]


async def test_a_file_is_compared_with_what_it_is_now_line_by_line(stage: Stage) -> None:
    lines = [f"line {number}" for number in range(30)]
    [first] = keep(stage, "\n".join(lines).encode(), path="a.py")
    lines[15] = "changed"
    (stage.folder / "a.py").write_text("\n".join(lines))
    told = (await stage.ana.get(f"{stage.api}/difference", params={"path": "a.py", "from": first})).json()
    assert told["after"] == "now"
    assert [line["change"] for line in told["lines"]].count("same") == 6
    assert [line["text"] for line in told["lines"] if line["change"] == "added"] == ["changed"]
    [binary] = keep(stage, b"\xff\xfe\x00", path="b.bin")
    told = (await stage.ana.get(f"{stage.api}/difference", params={"path": "b.bin", "from": binary})).json()
    assert not told["is_comparable"]


async def test_what_there_is_not_is_said_so(stage: Stage) -> None:
    keep(stage, notebook("one"))
    at = {"path": PATH}
    assert code(await stage.ana.get(f"{stage.api}/versions/none", params=at)) == (404, "version-not-found")
    reply = await stage.ana.get(f"{stage.api}/difference", params=at | {"from": "none"})
    assert code(reply) == (404, "version-not-found")
    for method, address in (("POST", "/trash/none/restore"), ("DELETE", "/trash/none")):
        assert code(await stage.ana.request(method, stage.api + address)) == (404, "deleted-file-not-found")
    for path in ("../../etc/passwd", ".studiolo/history/moves.jsonl"):
        assert (await stage.ana.get(f"{stage.api}/versions", params={"path": path})).status_code == 422
    assert await stage.actions() == []


async def test_links_to_the_machines_files_have_no_versions(stage: Stage) -> None:
    (stage.folder / "link").symlink_to("/etc/passwd")
    reply = await stage.ana.get(f"{stage.api}/versions", params={"path": "link"})
    assert code(reply) == (422, "path-outside")
    reply = await stage.ana.get(f"{stage.api}/difference", params={"path": "link", "from": "now"})
    assert code(reply) == (422, "path-outside")


async def test_what_was_deleted_comes_back_or_is_erased(stage: Stage) -> None:
    (stage.folder / "a.txt").write_text("a")
    (stage.folder / "b").mkdir()
    for path in ("a.txt", "b"):
        assert (await stage.ana.delete(stage.api, params={"path": path})).status_code == 204
    deleted = (await stage.ana.get(f"{stage.api}/trash")).json()["items"]
    assert [(what["path"], what["size"], what["by"]["name"]) for what in deleted] == [
        ("b", None, "ana"),
        ("a.txt", 1, "ana"),
    ]
    (stage.folder / "a.txt").write_text("new")
    back = await stage.ana.post(f"{stage.api}/trash/{deleted[1]['id']}/restore")
    assert back.json() == {"path": "a (restored).txt"}
    assert (stage.folder / "a (restored).txt").read_text() == "a"
    assert (await stage.ana.delete(f"{stage.api}/trash/{deleted[0]['id']}")).status_code == 204
    assert (await stage.ana.get(f"{stage.api}/trash")).json()["items"] == []
    assert await stage.actions() == ["file.delete", "file.delete", "file.restore", "file.erase"]


async def test_viewers_look_and_bring_nothing_back(stage: Stage) -> None:
    leo = await stage.people.add("leo")
    await stage.services.members.set_member(stage.owner, stage.workspace.id, MemberSet(person="leo", role=Role.VIEWER))
    client = await stage.client_of(leo)
    [version] = keep(stage, notebook("one"))
    what = Trash(stage.folder).discard(PATH, by="")
    at = {"path": PATH}
    for address in ("/versions", f"/versions/{version}", "/trash"):
        assert (await client.get(stage.api + address, params=at)).status_code == 200
    for method, address in (
        ("POST", f"/versions/{version}/restore"),
        ("POST", f"/trash/{what.id}/restore"),
        ("DELETE", f"/trash/{what.id}"),
    ):
        assert code(await client.request(method, stage.api + address, params=at)) == (403, "denied")


async def test_what_is_kept_too_long_goes_by_itself(stage: Stage) -> None:
    old = stage.services.clock.now() - timedelta(days=40)
    first, _ = keep(stage, notebook("one"), notebook("two"))
    log = next((stage.folder / ".studiolo/history/log").rglob("*.jsonl"))
    lines = [json.loads(line) for line in log.read_text().split("\n") if line]
    aged = (json.dumps(line | {"at": old.timestamp() + number}) for number, line in enumerate(lines))
    log.write_text("\n".join(aged) + "\n")
    await stage.services.file_retention.look()
    assert first not in {version["id"] for version in await listed(stage)}
    assert len(await listed(stage)) == 1
