"""Pages of what files were: versions, how they differ, deleted files."""

import re

import httpx
import pytest

from server.files.conftest import Stage
from server.files.test_versions import PATH, keep, notebook
from server.test_door import login
from studiolo.runtime.history.trash import Trash


@pytest.fixture
async def browser(stage: Stage) -> httpx.AsyncClient:
    """Ana's browser."""
    cookie = f"{stage.services.cookies.login}={await login(stage.services, 'ana')}"
    address = stage.services.settings.address
    stage.ana.headers.pop("Authorization")
    stage.ana.headers.update({"Cookie": cookie, "Origin": address})
    return stage.ana


async def submit(browser: httpx.AsyncClient, page: str, action: str, **fields: str) -> httpx.Response:
    """Send the form of a page that goes to `action`, with its hidden fields; go where it leads."""
    forms = re.findall(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', page, re.DOTALL)
    form = next(inner for address, inner in forms if re.fullmatch(action, address))
    address = next(address for address, _ in forms if re.fullmatch(action, address))
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form))
    reply = await browser.post(address, data=hidden | fields)
    # httpx drops the cookie where it follows by itself.
    return await browser.get(reply.headers["location"]) if reply.status_code == 303 else reply


async def test_a_person_finds_compares_and_brings_back_a_version(stage: Stage, browser: httpx.AsyncClient) -> None:
    keep(stage, notebook("old <b>", c0="x" * 5000), notebook("new"))
    at = f"/w/{stage.workspace.id}/history"
    page = (await browser.get(at, params={"path": PATH})).text
    assert "as it is now" in page
    compare = re.search(r'href="([^"]*history\?[^"]*from=[^"]*)"', page)
    assert compare is not None
    page = (await browser.get(compare[1].replace("&amp;", "&"))).text
    assert " old &lt;b&gt;" in page
    assert "+ new" in page
    assert "± Changed" in page
    assert "4.9 KiB → 0" in page
    back = await submit(browser, page, f"{at}/restore")
    assert "Restored." in back.text
    assert (stage.folder / PATH).read_bytes() == notebook("old <b>", c0="x" * 5000)
    assert "brought back" in back.text


async def test_a_page_about_nothing_says_so(stage: Stage, browser: httpx.AsyncClient) -> None:
    at = f"/w/{stage.workspace.id}/history"
    assert "No version of this file was kept" in (await browser.get(at, params={"path": "absent"})).text
    missing = await browser.get(at, params={"path": "absent", "from": "none"})
    assert (missing.status_code, "no such version" in missing.text) == (404, True)
    assert (await browser.get(at, params={"path": "../x"})).status_code == 422
    assert "Nothing was deleted" in (await browser.get(f"/w/{stage.workspace.id}/file-trash")).text


async def test_deleted_files_come_back_or_go_for_good(stage: Stage, browser: httpx.AsyncClient) -> None:
    for name in ("a.txt", "b.txt"):
        (stage.folder / name).write_text(name)
        Trash(stage.folder).discard(name, by=stage.owner.person_id)
    at = f"/w/{stage.workspace.id}/file-trash"
    page = (await browser.get(at)).text
    back = await submit(browser, page, f"{at}/[0-9a-f]+/restore")
    assert "Restored." in back.text
    assert (stage.folder / "b.txt").read_text() == "b.txt"
    refused = await submit(browser, back.text, f"{at}/[0-9a-f]+/erase", typed="other")
    assert (refused.status_code, "type its name" in refused.text) == (422, True)
    gone = await submit(browser, refused.text, f"{at}/[0-9a-f]+/erase", typed="a.txt")
    assert "Erased." in gone.text
    assert Trash(stage.folder).list_() == []
