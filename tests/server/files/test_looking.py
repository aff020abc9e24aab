"""Previews and searches through the front door: for whom, with which headers, and what they find."""

import asyncio

import nbformat
import pytest
from httpx import Response

from server.files.conftest import Stage
from server.files.test_clients import client, home, studiolo  # noqa: F401
from studiolo.contract.models import MemberSet
from studiolo.contract.operations import Role
from studiolo.sdk import AsyncStudiolo


def write_notebook(stage: Stage, path: str, source: str) -> None:
    file = stage.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])))


async def search(stage: Stage, text: str, **query: object) -> Response:
    """Ask until all files have been looked at: the first look may take longer than an answer waits."""
    async with asyncio.timeout(60):
        while True:
            reply = await stage.ana.get(f"{stage.api}/search", params={"q": text, **query})
            found = reply.json()
            if not reply.is_success or (found["checked_at"] and not found["waiting"] and found["items"]):
                return reply
            await asyncio.sleep(0.2)


@pytest.mark.req("S4-106")
async def test_a_preview_is_a_page_of_an_origin_without_rights(stage: Stage) -> None:
    write_notebook(stage, "a b/数据.ipynb", "x = 41 + 1")
    reply = await stage.ana.get(f"{stage.files}/preview/a b/数据.ipynb")
    assert reply.status_code == 200
    assert '<span class="mi">41</span>' in reply.text
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    again = await stage.ana.get(
        f"{stage.files}/preview/a b/数据.ipynb", headers={"If-None-Match": reply.headers["etag"]}
    )
    assert again.status_code == 304


async def test_previews_are_for_members_and_never_lead_out(stage: Stage) -> None:
    (stage.folder / "a.txt").write_text("ours")
    (stage.folder / "out").symlink_to("/etc/passwd")
    leo = await stage.client_of(await stage.people.add("leo"))
    assert (await leo.get(f"{stage.files}/preview/a.txt")).status_code == 404
    assert (await leo.get(f"{stage.api}/search", params={"q": "ours"})).status_code == 404
    await stage.services.members.set_member(stage.owner, stage.workspace.id, MemberSet(person="leo", role=Role.VIEWER))
    assert "ours" in (await leo.get(f"{stage.files}/preview/a.txt")).text
    assert (await leo.get(f"{stage.api}/search", params={"q": "ours"})).status_code == 200
    for path in ("out", "%2e%2e/%2e%2e/etc/passwd", ".studiolo/x"):
        assert "root:" not in (reply := await leo.get(f"{stage.files}/preview/{path}")).text
        assert reply.status_code in (404, 422)


async def test_a_search_finds_cells_names_and_says_how_fresh_it_is(stage: Stage) -> None:
    write_notebook(stage, "deep/model.ipynb", "df = pd.read_csv('x')")
    found = (await search(stage, "read_csv")).json()
    assert [(hit["path"], hit["kind"], hit["cell"]) for hit in found["items"]] == [("deep/model.ipynb", "code", 1)]
    assert found["items"][0]["text"][slice(*found["items"][0]["marks"][0])] == "read_csv"
    assert found["checked_at"]
    assert not found["is_cut"]
    found = (await search(stage, "MODEL", **{"in": "deep"})).json()
    assert [hit["kind"] for hit in found["items"]] == ["name"]


async def test_a_search_without_words_is_refused(stage: Stage) -> None:
    assert (await search(stage, "")).status_code == 422


@pytest.mark.usefixtures("home")
async def test_a_search_by_the_client_and_the_command_line(stage: Stage, client: AsyncStudiolo) -> None:  # noqa: F811
    write_notebook(stage, "deep/model.ipynb", "df = pd.read_csv('x')")
    await search(stage, "read_csv")
    (hit,) = (await client.files.search("churn", "pd csv", folder="deep")).items
    assert (hit.path, hit.cell, hit.line) == ("deep/model.ipynb", 1, 1)
    out = await studiolo(stage, "search", "churn:deep", "read_csv")
    assert "deep/model.ipynb" in out
    assert "cell 1:1" in out
    assert "Files as of" in out
