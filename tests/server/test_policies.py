"""Package policies from outside: revisions, what follows from them, and who may."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

API = "/api/v1/jupyter"


async def make(client: httpx.AsyncClient, name: str = "churn", **more: object) -> str:
    made = await client.post(f"{API}/workspaces", json={"name": name, **more})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def policy_of(client: httpx.AsyncClient, workspace: str | None = None) -> dict[str, object]:
    got = await client.get(f"{API}/workspaces/{workspace}/policy" if workspace else f"{API}/policy")
    assert got.status_code == 200, got.text
    return dict(got.json())


async def check(client: httpx.AsyncClient, workspace: str, name: str, version: str | None = None) -> tuple[str, str]:
    params = {"name": name} | ({"version": version} if version else {})
    got = await client.get(f"{API}/workspaces/{workspace}/policy/check", params=params)
    assert got.status_code == 200, got.text
    return got.json()["verdict"], got.json()["code"]


@pytest.mark.req("S0-47")
async def test_the_products_policy_holds_until_somebody_sets_another(ana: httpx.AsyncClient) -> None:
    policy = await policy_of(ana, await make(ana))
    print(policy)
    assert policy["number"] == 1
