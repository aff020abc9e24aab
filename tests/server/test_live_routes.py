"""The websocket of live pages is for logins, as long as they are good."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from server.conftest import People
from server.test_door import login
from studiolo.contract.models import KeyCreate
from studiolo.kit.clock import ManualClock
from studiolo.server import live_routes
from studiolo.server.accounts.tables import people as people_table
from studiolo.server.app import create_app
from studiolo.server.services import Services


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_routes, "_CHECK_SECONDS", 0.05)


class Page:
    """An open page's websocket, without a network."""

    def __init__(self, services: Services, **headers: str) -> None:
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._told.put_nowait({"type": "websocket.connect"})
        sent = {"host": "localhost:28888", "origin": "http://localhost:28888", **headers}
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": "/live",
            "raw_path": b"/live",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "subprotocols": [],
        }
        self._task = asyncio.create_task(create_app(services)(scope, self._told.get, self._say))

    async def _say(self, message: Any) -> None:
        self._said.put_nowait(message)

    async def hears(self) -> dict[str, Any]:
        return await asyncio.wait_for(self._said.get(), 5)

    async def close(self) -> None:
        self._told.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self._task, 5)


async def signed_in(people: People, services: Services) -> Page:
    await people.add("mia")
    page = Page(services, cookie=f"{services.cookies.login}={await login(services, 'mia')}")
    assert (await page.hears())["type"] == "websocket.accept"
    return page


async def test_a_login_that_expires_loses_its_open_page(people: People, services: Services, clock: ManualClock) -> None:
    page = await signed_in(people, services)
    clock.advance(timedelta(hours=13))
    said = await page.hears()
    assert (said["type"], said["code"]) == ("websocket.close", 4401)
    await page.close()


async def test_a_person_disabled_by_another_process_loses_their_open_page(
    people: People, services: Services, clock: ManualClock
) -> None:
    page = await signed_in(people, services)
    async with services.db.write() as tx:
        await tx.connection.execute(update(people_table).values(disabled_at=clock.now()))
    assert (await page.hears())["code"] == 4401
    await page.close()


async def test_an_open_page_alone_does_not_keep_a_login_alive(
    people: People, services: Services, clock: ManualClock
) -> None:
    page = await signed_in(people, services)
    clock.advance(timedelta(minutes=40))
    hearing = asyncio.create_task(page.hears())
    # Looked at several times meanwhile.
    assert not (await asyncio.wait({hearing}, timeout=0.3))[0]
    clock.advance(timedelta(minutes=40))
    assert (await hearing)["code"] == 4401
    await page.close()


async def test_keys_open_no_page(people: People, services: Services) -> None:
    who = await people.add("mia")
    key = (await services.keys.create_key(who, KeyCreate(name="x"))).key
    page = Page(services, authorization=f"Bearer {key}")
    assert (await page.hears())["type"] == "websocket.close"
    await page.close()
