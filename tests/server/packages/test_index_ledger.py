"""What the index host tells the control plane: each once, in the ledger and in the record."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from server.conftest import ADDRESS, People
from studiolo.kit.shared_secret import load_shared_secret
from studiolo.packages.policy.effective import Policy
from studiolo.server.packages.tables import package_deliveries
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"


def entry(workspace: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    common = {"ecosystem": "pypi", "channel": "defaults", "version": "2.0", "file": f"{name}-2.0-py3-none-any.whl"}
    common |= {"session": "s-1", "person": "", "policy": "f" * 64, "cause": "client", "at": "2026-05-03T12:00:00+00:00"}
    of_kind: dict[str, Any] = {"sha256": "a" * 64, "fingerprint": "b" * 64}
    if kind == "refusal":
        of_kind = {"code": "blocked", "rule": "blocked_packages: lib", "because": "lib is blocked.", "enforced": True}
    return {"kind": kind, "id": f"{kind}-{name}", "workspace": workspace, "name": name, **common, **of_kind, **more}


@pytest.fixture
async def churn(services: Services, ana: httpx.AsyncClient) -> str:
    services.settings.runtime_dir.mkdir(mode=0o700, exist_ok=True)
    return str((await ana.post(W, json={"name": "churn"})).json()["id"])


async def tell(people: People, services: Services, what: str, body: dict[str, Any], secret: str = "") -> httpx.Response:
    known = secret or load_shared_secret(services.settings.index_key_file)
    async with people.anonymous({"X-Studiolo-Question": "1", "X-Studiolo-Secret": known}) as client:
        return await client.post(f"{ADDRESS}/_index/{what}", json=body)


async def events(client: httpx.AsyncClient, action: str) -> list[dict[str, Any]]:
    found = (await client.get(f"{W}/churn/activity")).json()["items"]
    return [event for event in found if event["action"] == action]


async def test_what_is_told_twice_is_written_once(
    churn: str, ana: httpx.AsyncClient, people: People, services: Services
) -> None:
    body = {"entries": [entry(churn, "delivery", "lib"), entry(churn, "refusal", "bad")]}
    for _ in range(2):
        assert (await tell(people, services, "deliveries", body)).status_code == 204
    async with services.db.read() as connection:
        (row,) = (await connection.execute(select(package_deliveries))).mappings()
    assert (row["workspace_id"], row["name"], row["fingerprint"], row["cause"]) == (churn, "lib", "b" * 64, "client")
    (download,), (blocked,) = await events(ana, "package.download"), await events(ana, "package.blocked")
    assert (download["target"], download["detail"]["version"], download["detail"]["session"]) == ("lib", "2.0", "s-1")
    assert (blocked["target"], blocked["detail"]["code"], blocked["detail"]["enforced"]) == ("bad", "blocked", True)


async def test_a_delivery_is_the_persons_who_asked(
    churn: str, ana: httpx.AsyncClient, people: People, services: Services
) -> None:
    person = (await ana.get("/api/v1/me")).json()["id"]
    await tell(people, services, "deliveries", {"entries": [entry(churn, "delivery", "lib", person=person)]})
    (event,) = await events(ana, "package.download")
    assert event["actor"]["name"] == "ana"


async def test_what_is_told_of_a_workspace_that_is_gone_stops_nothing(
    churn: str, ana: httpx.AsyncClient, people: People, services: Services
) -> None:
    body = {"entries": [entry("w-gone", "delivery", "one"), entry(churn, "delivery", "two")]}
    assert (await tell(people, services, "deliveries", body)).status_code == 204
    assert [event["target"] for event in await events(ana, "package.download")] == ["two"]


async def test_a_policy_is_told_by_its_hash(churn: str, people: People, services: Services) -> None:
    _, policy = await services.policies.effective(churn)
    told = (await tell(people, services, f"policies/{policy.hash}", {})).json()["policy"]
    assert Policy.from_json(told).hash == policy.hash
    assert (await tell(people, services, "policies/unknown", {})).status_code == 404


async def test_nobody_without_the_hosts_secret_is_listened_to(churn: str, people: People, services: Services) -> None:
    body = {"entries": [entry(churn, "delivery", "lib")]}
    assert (await tell(people, services, "deliveries", body, secret="guessed")).status_code == 404
    async with services.db.read() as connection:
        assert (await connection.execute(select(package_deliveries))).first() is None


async def test_an_entry_that_is_none_is_refused_as_such(churn: str, people: People, services: Services) -> None:
    reply = await tell(people, services, "deliveries", {"entries": [{"kind": "delivery", "workspace": churn}]})
    assert (reply.status_code, reply.json()["code"]) == (422, "request-invalid")
