"""People are told what they wait for, alone, once, and for a while."""

from datetime import timedelta

import httpx
import pytest

from server.conftest import People
from server.test_live_routes import signed_in
from studiolo.contract.models import KeyCreate
from studiolo.kit.clock import ManualClock
from studiolo.server.principal import Principal
from studiolo.server.services import Services

HERE = "/api/v1/notifications"


@pytest.fixture
async def leo_as_told(people: People, services: Services) -> Principal:
    return await people.add("leo")


async def tell(services: Services, who: Principal, text: str) -> None:
    async with services.db.write() as tx:
        await services.notifications.tell(tx, who.person_id, "request.approved", text, "/requests")


async def client_of(people: People, services: Services, who: Principal) -> httpx.AsyncClient:
    key = (await services.keys.create_key(who, KeyCreate(name="test"))).key
    return people.anonymous({"Authorization": f"Bearer {key}"})


async def test_a_new_owner_is_told_whose_workspace_is_theirs_now(
    people: People, services: Services, leo_as_told: Principal, ana: httpx.AsyncClient
) -> None:
    workspace = (await ana.post("/api/v1/jupyter/workspaces", json={"name": "churn"})).json()
    place = "/api/v1/jupyter/workspaces/churn"
    await ana.put(f"{place}/members", json={"person": "leo", "role": "editor"})
    await ana.post(f"{place}/transfer", json={"person": "leo"})
    async with await client_of(people, services, leo_as_told) as leo:
        (told,) = (await leo.get(HERE)).json()["items"]
    assert (told["kind"], told["link"]) == ("workspace.handed-over", f"/w/{workspace['id']}")
    assert told["text"].endswith("made you the owner of the workspace churn.")


async def test_what_one_is_told_is_new_until_one_has_seen_it(
    people: People, services: Services, clock: ManualClock, leo_as_told: Principal, ana: httpx.AsyncClient
) -> None:
    for text in ("six is allowed", "torch is allowed"):
        await tell(services, leo_as_told, text)
        clock.advance(timedelta(seconds=1))
    async with await client_of(people, services, leo_as_told) as leo:
        told = (await leo.get(HERE, params={"limit": 1})).json()
        assert ([one["text"] for one in told["items"]], told["total"]) == (["torch is allowed"], 2)
        rest = (await leo.get(HERE, params={"cursor": told["next_cursor"]})).json()
        assert [one["text"] for one in rest["items"]] == ["six is allowed"]
        # Nobody marks, or even sees, what another one was told.
        assert (await ana.post(f"{HERE}/read", json={"ids": [told["items"][0]["id"]]})).status_code == 204
        assert (await ana.get(HERE)).json()["items"] == []
        assert (await leo.get(HERE)).json()["total"] == 2
        for _ in range(2):
            assert (await leo.post(f"{HERE}/read", json={"ids": [told["items"][0]["id"]]})).status_code == 204
        unread = (await leo.get(HERE, params={"unread": True})).json()
        assert ([one["text"] for one in unread["items"]], unread["total"]) == (["six is allowed"], 1)
        assert (await leo.post(f"{HERE}/read", json={})).status_code == 204
        assert (await leo.get(HERE, params={"unread": True})).json() == {"items": [], "next_cursor": None, "total": 0}


async def test_what_is_old_is_forgotten(services: Services, clock: ManualClock, leo_as_told: Principal) -> None:
    await tell(services, leo_as_told, "long ago")
    clock.advance(timedelta(days=91))
    await tell(services, leo_as_told, "today")
    await services.notifications.expire()
    assert [one.text for one in (await services.notifications.list_(leo_as_told)).items] == ["today"]


async def test_what_was_not_committed_was_not_told(services: Services, leo_as_told: Principal) -> None:
    async def fail() -> None:
        async with services.db.write() as tx:
            await services.notifications.tell(tx, leo_as_told.person_id, "request.denied", "never", "/requests")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await fail()
    assert await services.notifications.count_unread(leo_as_told) == 0


async def test_open_pages_of_that_person_hear_of_it(people: People, services: Services) -> None:
    page = await signed_in(people, services)
    async with services.db.read() as connection:
        mia = await services.accounts.find_person(connection, "mia")
    await tell(services, Principal(mia.id, "mia", "mia", False, via="login"), "six is allowed")
    assert "notifications" in (await page.hears())["text"]
    await page.close()
