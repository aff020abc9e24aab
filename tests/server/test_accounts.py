"""People, logins and keys over REST."""

from datetime import timedelta

import httpx
import pytest

from server.conftest import People
from studiolo.contract.models import PasswordChange
from studiolo.kit.clock import ManualClock
from studiolo.server.http.identity import CookieNames
from studiolo.server.principal import OPERATOR
from studiolo.server.services import Services


async def test_nobody_is_answered_with_a_problem(people: People) -> None:
    async with people.anonymous() as client:
        reply = await client.get("/api/v1/me")
    assert (reply.status_code, reply.json()["code"]) == (401, "not-signed-in")
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.req("S3-25")
async def test_a_key_stands_for_its_person(ana: httpx.AsyncClient) -> None:
    assert (await ana.get("/api/v1/me")).json()["name"] == "ana"


async def test_a_key_is_shown_once_and_not_stored(ana: httpx.AsyncClient, services: Services) -> None:
    made = (await ana.post("/api/v1/me/keys", json={"name": "laptop"})).json()
    listed = (await ana.get("/api/v1/me/keys")).json()
    assert made["key"].startswith(made["prefix"])
    assert all("key" not in key for key in listed)
    assert made["key"].encode() not in (services.settings.data_dir / "studiolo.db").read_bytes()


async def test_a_revoked_key_is_dead_at_once(ana: httpx.AsyncClient, people: People) -> None:
    made = (await ana.post("/api/v1/me/keys", json={"name": "laptop"})).json()
    async with people.anonymous({"Authorization": f"token {made['key']}"}) as other:
        assert (await other.get("/api/v1/me")).status_code == 200
        await ana.delete(f"/api/v1/me/keys/{made['id']}")
        assert (await other.get("/api/v1/me")).json()["code"] == "key-invalid"


async def test_a_key_expires(ana: httpx.AsyncClient, people: People, clock: ManualClock) -> None:
    made = (await ana.post("/api/v1/me/keys", json={"name": "short", "expires_in_days": 1})).json()
    clock.advance(timedelta(days=1))
    async with people.anonymous({"Authorization": f"Bearer {made['key']}"}) as other:
        assert (await other.get("/api/v1/me")).json()["code"] == "key-invalid"


async def test_scopes_narrow_a_key(ana: httpx.AsyncClient, people: People) -> None:
    made = (await ana.post("/api/v1/me/keys", json={"name": "reader", "scopes": ["workspaces:read"]})).json()
    async with people.anonymous({"Authorization": f"Bearer {made['key']}"}) as reader:
        assert (await reader.get("/api/v1/jupyter/workspaces")).status_code == 200
        refused = await reader.post("/api/v1/jupyter/workspaces", json={"name": "x"})
        widened = await reader.post("/api/v1/me/keys", json={"name": "wider"})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope-missing")
    assert widened.json()["code"] == "scope-missing"


async def test_nobody_gives_a_key_more_than_they_hold(ana: httpx.AsyncClient) -> None:
    reply = await ana.post("/api/v1/me/keys", json={"name": "root", "scopes": ["platform:admin"]})
    assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing")


async def test_a_sign_in_link_works_once(people: People, services: Services) -> None:
    await people.add("mia")
    link = await services.accounts.create_sign_in_link(OPERATOR, "mia")
    token = link.url.partition("link=")[2]
    assert await services.accounts.sign_in_link(token, "browser")
    with pytest.raises(Exception, match="used before"):
        await services.accounts.sign_in_link(token, "browser")


async def test_a_sign_in_link_expires(people: People, services: Services, clock: ManualClock) -> None:
    await people.add("mia")
    link = await services.accounts.create_sign_in_link(OPERATOR, "mia")
    clock.advance(services.settings.accounts.sign_in_link_lifetime)
    with pytest.raises(Exception, match="expired"):
        await services.accounts.sign_in_link(link.url.partition("link=")[2], "browser")


@pytest.mark.req("S0-95")
async def test_a_login_ends_when_idle_and_after_its_life(
    people: People, services: Services, clock: ManualClock
) -> None:
    await people.add("mia")
    cookies = CookieNames.of(services.settings)
    for wait in (timedelta(hours=1, minutes=2), timedelta(hours=13)):
        link = await services.accounts.create_sign_in_link(OPERATOR, "mia")
        token = await services.accounts.sign_in_link(link.url.partition("link=")[2], "browser")
        clock.advance(wait)
        services.authentication.forget()
        async with people.anonymous({"Cookie": f"{cookies.login}={token}"}) as client:
            assert (await client.get("/api/v1/me")).json()["code"] == "login-ended"


async def test_guessing_passwords_is_slowed(people: People, services: Services, clock: ManualClock) -> None:
    mia = await people.add("mia")
    await services.accounts.change_password(mia, PasswordChange(new="violet-harbour-otter"))
    async with people.anonymous() as client:
        for _ in range(5):
            reply = await client.post("/api/v1/sign-in", json={"name": "mia", "password": "wrong"})
            assert reply.json()["code"] == "credentials-wrong"
        right = {"name": "mia", "password": "violet-harbour-otter"}
        reply = await client.post("/api/v1/sign-in", json=right)
        assert (reply.status_code, reply.json()["code"]) == (429, "too-many-attempts")
        clock.advance(timedelta(seconds=reply.json()["retry_after"]))
        assert (await client.post("/api/v1/sign-in", json=right)).status_code == 200


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaa", "password1", "mia-password"])
async def test_weak_passwords_are_refused(people: People, services: Services, password: str) -> None:
    mia = await people.add("mia")
    with pytest.raises(Exception, match="too weak"):
        await services.accounts.change_password(mia, PasswordChange(new=password))


async def test_only_administrators_add_people(ana: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    assert (await ana.post("/api/v1/people", json={"name": "new-one"})).status_code == 403
    made = await admin.post("/api/v1/people", json={"name": "new-one"})
    assert made.status_code == 201
    assert "read everyone's files" in made.json()["notice"]


async def test_an_unknown_member_of_a_body_is_refused(admin: httpx.AsyncClient) -> None:
    reply = await admin.post("/api/v1/people", json={"name": "x1", "adminn": True})
    assert (reply.status_code, reply.json()["errors"][0]["location"]) == (422, "adminn")


async def test_an_unknown_host_is_refused(people: People) -> None:
    async with people.anonymous({"Host": "evil.example"}) as client:
        reply = await client.get("/api/v1/health")
    assert (reply.status_code, reply.json()["code"]) == (421, "host-unknown")


async def test_a_large_body_is_refused(ana: httpx.AsyncClient) -> None:
    reply = await ana.post("/api/v1/people", content=b"x" * (2 << 20))
    assert (reply.status_code, reply.json()["code"]) == (413, "request-too-large")
