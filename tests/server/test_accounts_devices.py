"""Signing in on a machine without a browser, over REST, with somebody who answers elsewhere."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server.conftest import People
from studiolo.contract.errors import Denied, LimitReached, NotFound
from studiolo.kit.clock import ManualClock
from studiolo.server.accounts import devices
from studiolo.server.principal import Principal
from studiolo.server.services import Services


@pytest.fixture(autouse=True)
def unhurried(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls of a test follow each other at once; the limit has a test of its own."""
    monkeypatch.setattr(services.devices, "_slow_down", lambda device: None)


@pytest.fixture
async def program(people: People) -> AsyncIterator[httpx.AsyncClient]:
    async with people.anonymous({"X-Forwarded-For": "10.9.9.9, 192.0.2.7"}) as client:
        yield client


@pytest.fixture
async def mia(people: People) -> Principal:
    return await people.add("mia")


async def begin(program: httpx.AsyncClient) -> Any:
    reply = await program.post("/api/v1/sign-in/device", json={"key_name": "command line on cluster-7"})
    assert reply.status_code == 200
    return reply.json()


async def poll(program: httpx.AsyncClient, begun: Any) -> httpx.Response:
    return await program.post("/api/v1/sign-in/device/token", json={"device_code": begun["device_code"]})


async def test_an_approved_code_becomes_a_key_once(
    program: httpx.AsyncClient, mia: Principal, services: Services, people: People
) -> None:
    begun = await begin(program)
    pending = await poll(program, begun)
    assert (pending.status_code, pending.json()["code"]) == (409, "device-code-pending")
    seen = await services.devices.find(mia, begun["user_code"].lower().replace("-", " "))
    assert (seen.user_code, seen.asked_from) == (begun["user_code"], "192.0.2.7")
    await services.devices.approve(mia, begun["user_code"])
    made = (await poll(program, begun)).json()
    async with people.anonymous({"Authorization": f"Bearer {made['key']}"}) as client:
        assert (await client.get("/api/v1/me")).json()["name"] == "mia"
    assert made["name"] == "command line on cluster-7"
    assert (await poll(program, begun)).json()["code"] == "device-code-expired"


async def test_the_code_is_eight_consonants_and_in_the_address(program: httpx.AsyncClient) -> None:
    begun = await begin(program)
    assert set(begun["user_code"].replace("-", "")) <= set("BCDFGHJKLMNPQRSTVWXZ")
    assert [len(half) for half in begun["user_code"].split("-")] == [4, 4]
    assert begun["verification_uri_complete"] == f"{begun['verification_uri']}?code={begun['user_code']}"
    assert begun["expires_in"] == 600


async def test_neither_code_is_stored(program: httpx.AsyncClient, services: Services) -> None:
    begun = await begin(program)
    files = services.settings.data_dir.glob("studiolo.db*")
    stored = b"".join(file.read_bytes() for file in files)
    assert begun["device_code"].encode() not in stored
    assert begun["user_code"].encode() not in stored


async def test_a_refused_code_is_dead(program: httpx.AsyncClient, mia: Principal, services: Services) -> None:
    begun = await begin(program)
    await services.devices.refuse(mia, begun["user_code"])
    assert (await poll(program, begun)).status_code == 404
    with pytest.raises(NotFound, match="ten minutes"):
        await services.devices.approve(mia, begun["user_code"])


async def test_a_code_is_approved_once(program: httpx.AsyncClient, mia: Principal, services: Services) -> None:
    begun = await begin(program)
    await services.devices.approve(mia, begun["user_code"])
    with pytest.raises(NotFound):
        await services.devices.approve(mia, begun["user_code"])


async def test_a_code_lives_ten_minutes(
    program: httpx.AsyncClient, mia: Principal, services: Services, clock: ManualClock
) -> None:
    begun = await begin(program)
    await services.devices.approve(mia, begun["user_code"])
    clock.advance(devices.LIFETIME)
    assert (await poll(program, begun)).json()["code"] == "device-code-expired"


async def test_one_address_begins_only_so_many(program: httpx.AsyncClient, clock: ManualClock) -> None:
    for _ in range(10):
        await begin(program)
    refused = await program.post("/api/v1/sign-in/device", json={})
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-attempts")
    clock.advance(devices.LIFETIME)
    await begin(program)


async def test_codes_cannot_be_guessed_by_trying(mia: Principal, services: Services) -> None:
    for number in range(20):
        with pytest.raises(NotFound):
            await services.devices.find(mia, f"BBBB-BBB{'BCDFGHJKLMNPQRSTVWXZ'[number]}")
    with pytest.raises(LimitReached):
        await services.devices.find(mia, "CCCC-CCCC")


async def test_a_narrow_key_comes_by_no_wider_one(
    program: httpx.AsyncClient, mia: Principal, services: Services
) -> None:
    begun = await begin(program)
    narrow = Principal(mia.person_id, "mia", "mia", False, via="key", scopes=frozenset({"account:write"}))
    with pytest.raises(Denied):
        await services.devices.approve(narrow, begun["user_code"])


async def test_the_record_tells_who_let_what_in(
    program: httpx.AsyncClient, mia: Principal, services: Services, admin: httpx.AsyncClient
) -> None:
    begun = await begin(program)
    await services.devices.approve(mia, begun["user_code"])
    await poll(program, begun)
    events = (await admin.get("/api/v1/audit")).json()["items"]
    told = [(event["action"], event["actor"]["name"]) for event in events[:2]]
    assert told == [("key.create", "mia"), ("account.approve-device", "mia")]


async def test_a_program_that_asks_too_often_is_slowed(people: People, services: Services) -> None:
    unlimited = services.devices
    type(unlimited)._slow_down(unlimited, "one")
    with pytest.raises(LimitReached):
        type(unlimited)._slow_down(unlimited, "one")
