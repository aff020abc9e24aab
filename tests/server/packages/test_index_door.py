"""Who reaches the package index, and by which policy they are answered."""

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.conftest import People
from server.test_door import ask
from studiolo.contract.models import KeyCreate
from studiolo.kit.clock import ManualClock
from studiolo.kit.crypto import new_token
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
PAGE = "/pypi/simple/numpy/"


def basic(password: str, user: str = "session") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def caller(reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(reply.headers["x-studiolo-index"]))
    return found


@pytest.fixture
async def churn(services: Services, ana: httpx.AsyncClient) -> str:
    """The id of ana's workspace, beside a running index's secret."""
    services.settings.runtime_dir.mkdir(mode=0o700, exist_ok=True)
    return (await ana.post(W, json={"name": "churn"})).json()["id"]


async def launch(client: httpx.AsyncClient, services: Services) -> tuple[str, str]:
    """Start a session; return its id and its narrow key."""
    session = (await client.post(S, json={"workspace": "churn"}, params={"wait": 5})).json()
    return session["id"], services.session_secrets.api_key(session["id"], 1)


async def test_a_sessions_own_key_is_answered_by_the_policy_of_its_workspace(
    churn: str, ana: httpx.AsyncClient, people: People, services: Services
) -> None:
    session_id, key = await launch(ana, services)
    found = caller(await ask(people, PAGE, Authorization=basic(key), Host="127.0.0.1:28888"))
    _, policy = await services.policies.effective(churn)
    expected = {"workspace": churn, "workspace_name": "churn", "session": session_id, "cause": "client"}
    assert found | expected == found
    assert found["policy"] == policy.hash


async def test_a_sessions_key_is_dead_with_the_session(
    churn: str, ana: httpx.AsyncClient, people: People, services: Services
) -> None:
    session_id, key = await launch(ana, services)
    assert (await ask(people, PAGE, Authorization=basic(key))).status_code == 200
    await ana.post(f"{S}/{session_id}/stop", params={"wait": 5})
    assert (await ask(people, PAGE, Authorization=basic(key))).status_code == 401


async def test_another_policy_is_in_force_with_the_next_question(
    churn: str, ana: httpx.AsyncClient, people: People, services: Services
) -> None:
    _, key = await launch(ana, services)
    before = caller(await ask(people, PAGE, Authorization=basic(key)))["policy"]
    form = {"document": "package_management:\n  blocked_packages: [numpy]\n", "note": "a test"}
    set_ = await ana.put(f"{W}/churn/policy", json=form)
    assert set_.is_success, set_.text
    assert caller(await ask(people, PAGE, Authorization=basic(key)))["policy"] != before


@pytest.mark.parametrize("authorization", ["", "Basic ???", "Basic bm90aGluZw==", "Bearer sto_wrong", "Basic c3R4Xzp4"])
async def test_who_shows_nothing_that_counts_is_asked_for_name_and_password(people: People, authorization: str) -> None:
    reply = await ask(people, PAGE, Authorization=authorization)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"].startswith("Basic realm=")


async def test_a_persons_key_opens_the_index_of_a_workspace_they_name(
    churn: str, people: People, services: Services, ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    key = ana.headers["Authorization"].partition(" ")[2]
    found = caller(await ask(people, f"/w/churn{PAGE}", Authorization=basic(key, "ana")))
    assert (found["workspace"], found["session"]) == (churn, "")
    assert (await ask(people, PAGE, Authorization=basic(key, "ana"))).status_code == 401
    foreign = leo.headers["Authorization"].partition(" ")[2]
    assert (await ask(people, f"/w/{churn}{PAGE}", Authorization=basic(foreign, "leo"))).status_code == 404


async def test_a_headless_kernels_key_serves_its_workspace_until_the_kernel_ends(
    churn: str, people: People, services: Services, ana: httpx.AsyncClient
) -> None:
    key, person = new_token("sto"), (await ana.get("/api/v1/me")).json()["id"]
    async with services.db.write() as tx:
        await services.keys.add_kernel_key(tx, key, person_id=person, kernel_id="k-1", workspace_id=churn)
    found = caller(await ask(people, PAGE, Authorization=basic(key)))
    assert (found["workspace"], found["person"], found["cause"]) == (churn, person, "client")
    async with services.db.write() as tx:
        await services.keys.revoke_kernel_keys(tx, ["k-1"])
    assert (await ask(people, PAGE, Authorization=basic(key))).status_code == 401


async def test_a_gateway_key_opens_kernels_and_no_index(churn: str, people: People, ana: httpx.AsyncClient) -> None:
    form = {"name": "lab", "kind": "gateway", "workspace": "churn"}
    key = (await ana.post("/api/v1/me/keys", json=form)).json()["key"]
    assert (await ask(people, PAGE, Authorization=basic(key))).status_code == 401
    assert (await ask(people, f"/w/churn{PAGE}", Authorization=basic(key))).status_code == 403


async def test_a_key_without_the_scope_is_refused(churn: str, people: People, services: Services) -> None:
    who = await people.add("mia", is_admin=True)
    key = (await services.keys.create_key(who, KeyCreate(name="narrow", scopes=["workspaces:read"]))).key
    reply = await ask(people, f"/w/{churn}{PAGE}", Authorization=basic(key, "mia"))
    assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing")


async def test_a_credential_of_a_build_works_for_its_time_and_its_workspace(
    churn: str, people: People, services: Services, clock: ManualClock
) -> None:
    credential = services.index_credentials.make(churn, cause="build", person_id="p-1")
    found = caller(await ask(people, PAGE, Authorization=basic(credential, "build")))
    assert (found["workspace"], found["cause"], found["person"]) == (churn, "build", "p-1")
    assert (await ask(people, f"/w/churn{PAGE}", Authorization=basic(credential))).status_code == 401
    forged = credential[:-1] + ("0" if credential[-1] != "0" else "1")
    assert (await ask(people, PAGE, Authorization=basic(forged))).status_code == 401
    clock.advance(timedelta(hours=3))
    services.access.forget()
    assert (await ask(people, PAGE + "?", Authorization=basic(credential))).status_code == 401
