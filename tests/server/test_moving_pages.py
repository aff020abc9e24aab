"""Import, clone, datasets and backups by the forms of pages, as a browser without scripts sends them."""

import io
import re
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from server.conftest import ADDRESS, People
from server.test_door import login
from studiolo.contract.archives import DESCRIPTION, WorkspaceArchive
from studiolo.server.services import Services


class Browser:
    """A signed-in administrator; `post` sends a form with what proves that it is ours."""

    def __init__(self, client: httpx.AsyncClient, csrf: str) -> None:
        self.client = client
        self._csrf = csrf

    async def get(self, path: str) -> str:
        reply = await self.client.get(path)
        assert reply.status_code == 200, reply.text
        return reply.text

    async def post(self, path: str, file: bytes | None = None, **form: str) -> httpx.Response:
        files = {"archive": ("w.zip", file, "application/zip")} if file is not None else None
        return await self.client.post(path, data=form | {"csrf": self._csrf}, files=files)


@pytest.fixture
async def browser(people: People, services: Services) -> AsyncIterator[Browser]:
    await people.add("mia", is_admin=True)
    token = await login(services, "mia")
    csrf = services.identity.csrf_token(await services.authentication.by_login(token))
    cookie = {"Cookie": f"{services.cookies.login}={token}", "Origin": ADDRESS}
    async with people.anonymous(cookie) as client:
        yield Browser(client, csrf)


def zipped(**entries: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return held.getvalue()


async def test_an_archive_is_imported_and_exported_by_pages(browser: Browser) -> None:
    came = await browser.post("/workspaces/import", file=zipped(a="1"), name="arrived")
    assert came.status_code == 303, came.text
    there = came.headers["location"].partition("?")[0]
    content = (await browser.client.get(f"{there}/archive")).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("a") == b"1"
    refused = await browser.post("/workspaces/import", file=b"no zip", name="never")
    assert (refused.status_code, "no zip archive" in refused.text) == (422, True)
    assert (await browser.post("/workspaces/import", name="never")).status_code == 422


async def test_packages_of_an_archive_are_installed_by_one_press(browser: Browser) -> None:
    told = WorkspaceArchive(
        exported_at=datetime.now(UTC), version="1", name="elsewhere", packages=["polars==1.9", "six==1.17.0"]
    )
    came = await browser.post("/workspaces/import", file=zipped(**{DESCRIPTION: told.model_dump_json()}))
    assert came.status_code == 200
    assert re.search(r'action="/w/w-[0-9a-z]{16}/environment/install"', came.text)
    assert 'value="polars==1.9 six==1.17.0"' in came.text


async def test_an_import_from_another_site_is_refused(browser: Browser, services: Services) -> None:
    browser.client.headers["Origin"] = "http://evil.example"
    assert (await browser.post("/workspaces/import", file=zipped(a="1"), name="forged")).status_code == 403
    assert not (services.settings.data_dir / "workspaces").exists()


async def test_a_clone_that_is_refused_keeps_what_was_typed_but_the_token(browser: Browser) -> None:
    typed = {"url": "https://127.0.0.1/team/study.git", "branch": "main", "token": "s3cr3t"}
    refused = await browser.post("/workspaces", name="study", **typed)
    assert refused.status_code == 422
    assert "https://127.0.0.1/team/study.git" in refused.text
    assert "s3cr3t" not in refused.text
    made = await browser.post("/workspaces", name="study")
    assert made.status_code == 303
    refused = await browser.post(f"{made.headers['location']}/clone", **typed)
    assert (refused.status_code, "s3cr3t" in refused.text) == (422, False)


async def test_a_dataset_is_registered_changed_and_removed_by_pages(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "srv"
    folder.mkdir()
    assert (await browser.post("/datasets", name="billing", folder=str(folder), people="mia")).status_code == 303
    shown = await browser.get("/datasets")
    assert str(folder) in shown
    found = re.search(r"/datasets/(d-\w+)/remove", shown)
    assert found is not None
    changed = await browser.post(f"/datasets/{found[1]}", folder=str(folder), description="Bills", everybody="yes")
    assert changed.status_code == 303
    assert "Bills" in await browser.get("/datasets")
    assert (await browser.post("/datasets", name="other", folder="/nowhere/at/all", everybody="yes")).status_code == 422
    assert (await browser.post(f"/datasets/{found[1]}/remove")).status_code == 303
    assert "Bills" not in await browser.get("/datasets")


async def test_a_backup_is_begun_and_cancelled_by_pages(browser: Browser) -> None:
    assert "None was made yet" in await browser.get("/admin/backups")
    assert (await browser.post("/admin/backups")).status_code == 303
    assert (await browser.post("/admin/backups")).status_code == 409
    assert (await browser.post("/admin/backups/cancel")).status_code == 303
    assert (await browser.post("/admin/backups/cancel")).status_code == 404


async def test_where_nothing_makes_images_the_page_says_what_is_missing(browser: Browser) -> None:
    came = await browser.post("/workspaces/import", file=zipped(a="1"), name="plain")
    page = await browser.get(f"{came.headers['location'].partition('?')[0]}/environment")
    assert "No engine of this platform makes images" in page
