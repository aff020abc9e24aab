"""What is approved is really installed: a real plan, a real build, a real wheel, in a workspace where nothing runs."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import eventually
from server.environments.conftest import W
from studiolo.kit.reconcile import running
from studiolo.server.services import Services

_REQUESTS = "/api/v1/jupyter/requests"
_POLICY = "package_management:\n  approval_required: [stem]\n"


@pytest.fixture(autouse=True)
async def following(services: Services) -> AsyncIterator[None]:
    async with running(services.request_following.runner):
        yield


async def ask_for_stem(ana: httpx.AsyncClient) -> dict[str, Any]:
    policy = await ana.put(f"{W}/churn/policy", json={"document": _POLICY})
    assert policy.status_code == 200, policy.text
    asked = await ana.post(f"{W}/churn/requests", json={"package": "stem", "purpose": "to stand"})
    assert asked.status_code == 201, asked.text
    return dict(asked.json())


async def until(client: httpx.AsyncClient, request_id: str, state: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_so() -> bool:
        found.update((await client.get(f"{_REQUESTS}/{request_id}")).json())
        return bool(state in (found["closure"]["state"], found["install_state"]))

    await eventually(is_so, timedelta(seconds=60))
    return found


@pytest.mark.req("S0-63", "S0-64", "S0-65", "S0-66")
async def test_what_is_approved_is_there_without_anybody_installing_it(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, churn: Path
) -> None:
    asked = await ask_for_stem(ana)
    worked_out = await until(admin, asked["id"], "ready")
    brings = [(one["name"], one["version"], one["judged"]["code"]) for one in worked_out["closure"]["packages"]]
    assert brings == [("stem", "1.0", "approval-required"), ("leaf", "2.0", "allowed")]
    assert not list(churn.glob("lib/python3*/site-packages/stem"))
    assert (await admin.post(f"{_REQUESTS}/{asked['id']}/approve", json={})).status_code == 200
    done = await until(ana, asked["id"], "installed")
    assert list(churn.glob("lib/python3*/site-packages/stem/__init__.py"))
    build = (await ana.get(f"{W}/churn/environment/builds/{done['build']}")).json()
    assert (build["cause"], build["state"], build["made_by"]["name"]) == ("request", "ready", "boss")


async def test_a_dependency_that_is_blocked_keeps_it_out_until_it_is_allowed_with_it(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, churn: Path
) -> None:
    asked = await ask_for_stem(ana)
    policy = f"{_POLICY}  blocked_packages: [leaf]\n"
    assert (await ana.put(f"{W}/churn/policy", json={"document": policy})).status_code == 200
    await admin.post(f"{_REQUESTS}/{asked['id']}/approve", json={})
    failed = await until(ana, asked["id"], "failed")
    assert "leaf is blocked" in failed["install_message"]
    assert not list(churn.glob("lib/python3*/site-packages/stem"))
    told = (await ana.get("/api/v1/notifications")).json()["items"]
    assert any("stem is allowed in churn, but could not be installed: leaf is blocked" in one["text"] for one in told)
    # An administrator lifts the block in the way that a policy's owner would, and tries again.
    assert (await ana.put(f"{W}/churn/policy", json={"document": _POLICY})).status_code == 200
    assert (await admin.post(f"{_REQUESTS}/{asked['id']}/install")).status_code == 200
    await until(ana, asked["id"], "installed")
    assert list(churn.glob("lib/python3*/site-packages/stem/__init__.py"))
