"""Invitations, suspension, handing over, erasing, the banner: over REST, in memory."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.conftest import People
from server.test_door import login
from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services

V1 = "/api/v1"
W = f"{V1}/jupyter/workspaces"
PASSWORD = "violet-harbour-otter"


def token_of(made: dict[str, Any]) -> str:
    return str(made["url"].partition("invitation=")[2])


async def join(people: People, made: dict[str, Any], name: str) -> httpx.Response:
    async with people.anonymous() as client:
        form = {"token": token_of(made), "name": name, "password": PASSWORD}
        return await client.post(f"{V1}/join", json=form)


async def test_who_was_invited_joins_with_memberships_in_place(
    people: People, admin: httpx.AsyncClient, ana: httpx.AsyncClient
) -> None:
    await ana.post(W, json={"name": "churn"})
    grants = [{"workspace": "ana/churn", "role": "editor"}]
    made = (await admin.post(f"{V1}/invitations", json={"to": "Nora@Example.com", "workspaces": grants})).json()
    assert made["url"] in made["text"]
    joined = await join(people, made, "nora")
    assert joined.status_code == 201, joined.text
    async with people.anonymous({"Authorization": f"Bearer {joined.json()['key']}"}) as nora:
        assert (await nora.get(f"{V1}/me")).json()["email"] == "nora@example.com"
        assert (await nora.get(f"{W}/churn")).json()["role"] == "editor"
    member = next(m for m in (await ana.get(f"{W}/churn/members")).json() if m["person"]["name"] == "nora")
    assert (member["through"], member["given_by"]["name"]) == ("invitation", "boss")


async def test_an_invitation_works_once(people: People, admin: httpx.AsyncClient) -> None:
    made = (await admin.post(f"{V1}/invitations", json={"to": "nora"})).json()
    replies = await asyncio.gather(*(join(people, made, name) for name in ("nora", "nora-2", "nora-3")))
    assert sorted(reply.status_code for reply in replies) == [201, 404, 404]
    assert (await admin.get(f"{V1}/invitations")).json()["items"] == []


async def test_a_taken_name_or_weak_password_leaves_the_invitation(people: People, admin: httpx.AsyncClient) -> None:
    made = (await admin.post(f"{V1}/invitations", json={"to": "nora@example.com"})).json()
    assert (await join(people, made, "boss")).json()["code"] == "person-exists"
    async with people.anonymous() as client:
        weak = await client.post(f"{V1}/join", json={"token": token_of(made), "name": "nora", "password": "nora"})
    assert weak.json()["code"] == "password-weak"
    assert (await join(people, made, "nora")).status_code == 201


async def test_an_invitation_ends_is_renewed_and_withdrawn(
    people: People, admin: httpx.AsyncClient, clock: ManualClock
) -> None:
    old = (await admin.post(f"{V1}/invitations", json={"to": "nora"})).json()
    clock.advance(timedelta(days=7))
    assert (await join(people, old, "nora")).json()["code"] == "invitation-not-found"
    new = (await admin.post(f"{V1}/invitations/{old['id']}/renew")).json()
    assert (await join(people, old, "nora")).status_code == 404
    assert (await admin.delete(f"{V1}/invitations/{old['id']}")).status_code == 204
    assert (await join(people, new, "nora")).status_code == 404


async def test_an_invitation_by_somebody_who_is_no_administrator_any_more_is_none(
    people: People, admin: httpx.AsyncClient
) -> None:
    async with await people.client("mia", is_admin=True) as mia:
        made = (await mia.post(f"{V1}/invitations", json={"to": "nora", "is_admin": True})).json()
    assert (await admin.patch(f"{V1}/people/mia", json={"is_admin": False})).status_code == 200
    assert (await join(people, made, "nora")).json()["code"] == "invitation-not-found"


async def test_nobody_is_invited_who_is_here(admin: httpx.AsyncClient, ana: httpx.AsyncClient) -> None:
    for to in ("ana", "ANA@example.com"):
        assert (await admin.post(f"{V1}/invitations", json={"to": to})).json()["code"] == "person-exists"


async def test_a_link_of_an_invitation_is_stored_nowhere(admin: httpx.AsyncClient, services: Services) -> None:
    made = await admin.post(f"{V1}/invitations", json={"to": "nora"}, headers={"Idempotency-Key": "once"})
    folder = services.settings.data_dir
    token = token_of(made.json()).encode()
    assert all(token not in file.read_bytes() for file in folder.glob("studiolo.db*"))


async def test_who_is_suspended_has_no_way_in_until_let_back_in(
    people: People, services: Services, admin: httpx.AsyncClient, ana: httpx.AsyncClient
) -> None:
    await ana.post(W, json={"name": "churn"})
    await ana.put(f"{V1}/me/password", json={"new": PASSWORD})
    gateway = (await ana.post(f"{V1}/me/keys", json={"name": "g", "kind": "gateway"})).json()["key"]
    session = (await ana.post(f"{W}/churn/sessions", params={"wait": 5})).json()
    cookie = {"Cookie": f"{services.cookies.login}={await login(services, 'ana')}"}
    link = (await admin.post(f"{V1}/people/ana/sign-in-link")).json()["url"].partition("link=")[2]
    assert (await admin.post(f"{V1}/people/ana/suspend")).status_code == 204
    session_key = services.session_secrets.api_key(session["id"], 1)
    for headers in (dict(ana.headers), cookie, *({"Authorization": f"Bearer {key}"} for key in (gateway, session_key))):
        async with people.anonymous(headers) as client:
            assert (await client.get(f"{V1}/me")).status_code == 401, headers
    async with people.anonymous() as client:
        form = {"name": "ana", "password": PASSWORD}
        refused = await client.post(f"{V1}/sign-in", json=form)
        assert (refused.status_code, refused.json()["code"]) == (403, "person-suspended")
        refused = await client.post(f"{V1}/sign-in", json=form | {"password": "another password"})
        assert (refused.status_code, refused.json()["code"]) == (401, "credentials-wrong")
        with pytest.raises(Exception, match="used before"):
            await services.accounts.sign_in_link(link, "browser")
        assert (await admin.post(f"{V1}/people/ana/sign-in-link")).json()["code"] == "person-suspended"
        assert (await admin.post(f"{V1}/people/ana/reinstate")).status_code == 204
        assert (await client.post(f"{V1}/sign-in", json=form)).status_code == 200
    assert (await ana.get(f"{V1}/me")).status_code == 401


async def test_sessions_of_a_suspended_person_stop_and_workspaces_stay(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    await ana.post(W, json={"name": "churn"})
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    session = (await ana.post(f"{W}/churn/sessions", params={"wait": 5})).json()
    await admin.post(f"{V1}/people/ana/suspend")
    async with asyncio.timeout(30):
        while (await leo.get(f"{V1}/jupyter/sessions/{session['id']}")).json()["state"] != "stopped":
            await asyncio.sleep(0.01)
    stopped = (await leo.get(f"{V1}/jupyter/sessions/{session['id']}")).json()
    assert stopped["reason"]["code"] == "person-suspended"
    members = (await leo.get(f"{W}/ana~churn/members")).json()
    assert [m["suspended"] for m in members if m["person"]["name"] == "ana"] == [True]


async def test_nobody_suspends_themselves_or_the_last_administrator(people: People, admin: httpx.AsyncClient) -> None:
    assert (await admin.post(f"{V1}/people/boss/suspend")).json()["code"] == "own-account"
    assert (await admin.patch(f"{V1}/people/boss", json={"is_admin": False})).json()["code"] == "last-admin"
    async with await people.client("mia", is_admin=True) as mia:
        replies = await asyncio.gather(mia.post(f"{V1}/people/boss/suspend"), admin.post(f"{V1}/people/mia/suspend"))
    assert sorted(reply.status_code for reply in replies)[0] == 204
    assert any(reply.status_code != 204 for reply in replies)


async def test_all_that_somebody_owns_is_handed_over_at_once(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    for name in ("churn", "fraud"):
        await ana.post(W, json={"name": name})
    await leo.post(W, json={"name": "churn"})
    handed = (await admin.post(f"{V1}/people/ana/hand-over", json={"to": "leo"})).json()
    assert [(w["former_name"], w["name"]) for w in handed["workspaces"]] == [("churn", "churn-2"), ("fraud", "fraud")]
    assert (await leo.get(f"{W}/churn-2")).json()["role"] == "owner"
    # Whoever kept the old address finds it.
    assert (await ana.get(f"{W}/ana~fraud", follow_redirects=True)).json()["owner"]["name"] == "leo"
    audited = [e["action"] for e in (await admin.get(f"{V1}/audit")).json()["items"]]
    assert audited.count("workspace.transfer") == 2
    assert audited.count("person.hand-over") == 1


async def test_in_whose_name_a_workspace_stands_hands_it_over_before_leaving(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    await ana.post(W, json={"name": "churn"})
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "owner"})
    for client in (ana, leo):
        assert (await client.delete(f"{W}/ana~churn/members/ana")).json()["code"] == "last-owner"
    await ana.post(f"{W}/churn/transfer", json={"person": "leo"})
    assert (await ana.delete(f"{W}/leo~churn/members/ana")).status_code == 204


async def test_who_left_is_erased_and_the_record_stays_whole(
    services: Services, admin: httpx.AsyncClient, ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    await ana.post(W, json={"name": "churn"})
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    person = (await admin.get(f"{V1}/people/ana")).json()["person"]["id"]
    own = services.settings.data_dir / "people" / person / "w-1"
    own.mkdir(parents=True)
    before = (await admin.get(f"{V1}/audit", params={"limit": 200})).json()["items"]
    url = f"{V1}/people/ana"
    assert (await admin.delete(url)).json()["code"] == "confirmation-needed"
    assert (await admin.delete(url, params={"confirm": "ana"})).json()["code"] == "owns-workspaces"
    await admin.post(f"{url}/hand-over", json={"to": "leo"})
    assert (await admin.delete(url, params={"confirm": "ana"})).status_code == 204
    after = (await admin.get(f"{V1}/audit", params={"limit": 200})).json()["items"]
    kept = {event["id"]: event for event in after}
    assert all(kept[event["id"]]["sequence"] == event["sequence"] for event in before)
    assert all(kept[event["id"]]["action"] == event["action"] for event in before)
    assert "ana@example.com" not in str(after)
    assert not [e for e in after if (e["actor"] or {}).get("name") == "ana" or e["detail"].get("person") == "ana"]
    assert not own.exists()
    assert (await admin.get(url)).status_code == 404
    assert "ana" not in [p["name"] for p in (await admin.get(f"{V1}/people")).json()["items"]]
    assert [m["person"]["name"] for m in (await leo.get(f"{W}/churn/members")).json()] == ["leo"]


async def test_a_banner_is_told_and_ends_by_itself(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, clock: ManualClock, services: Services
) -> None:
    assert (await ana.put(f"{V1}/banner", json={"text": "Mine"})).status_code == 403
    assert (await admin.put(f"{V1}/banner", json={"text": " \n "})).status_code == 422
    await admin.put(f"{V1}/banner", json={"text": "Restart at noon", "level": "warning", "minutes": 5})
    told = (await ana.get(f"{V1}/banner")).json()["banner"]
    assert (told["text"], told["level"], told["posted_by"]["name"]) == ("Restart at noon", "warning", "boss")
    clock.advance(timedelta(minutes=5))
    assert (await ana.get(f"{V1}/banner")).json() == {"banner": None}
    await admin.put(f"{V1}/banner", json={"text": "Back again"})
    current = await services.banners.current()
    assert current is not None
    assert current.text == "Back again"
    assert (await admin.delete(f"{V1}/banner")).status_code == 204
    assert await services.banners.current() is None


async def test_people_are_filtered_and_paged_with_what_they_use(
    people: People, admin: httpx.AsyncClient, ana: httpx.AsyncClient
) -> None:
    for number in range(4):
        await people.add(f"zed-{number}")
    await ana.post(W, json={"name": "churn"})
    await ana.post(f"{W}/churn/sessions", params={"wait": 5})
    await admin.post(f"{V1}/people/zed-2/suspend")
    listed = f"{V1}/people"
    page = (await admin.get(listed, params={"q": "ZED", "limit": 3})).json()
    rest = (await admin.get(listed, params={"q": "ZED", "limit": 3, "cursor": page["next_cursor"]})).json()
    assert [p["name"] for p in page["items"] + rest["items"]] == [f"zed-{number}" for number in range(4)]
    assert [p["name"] for p in (await admin.get(listed, params={"kind": "suspended"})).json()["items"]] == ["zed-2"]
    found = (await admin.get(listed, params={"q": "ana@"})).json()["items"][0]
    assert (found["workspaces"], found["running_sessions"]) == (1, 1)


async def test_all_that_a_person_can_reach_is_shown(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, services: Services
) -> None:
    await ana.post(W, json={"name": "churn"})
    await ana.post(f"{W}/churn/sessions", params={"wait": 5})
    await login(services, "ana")
    shown = (await admin.get(f"{V1}/people/ana")).json()
    assert [w["workspace"]["name"] for w in shown["workspaces"]] == ["churn"]
    assert shown["workspaces"][0]["last_there_at"] is not None
    assert [k["name"] for k in shown["keys"]] == ["test"]
    assert (len(shown["logins"]), len(shown["sessions"])) == (1, 1)
