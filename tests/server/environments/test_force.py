"""What the policy refuses of a plan: said at once and in full, and installed by an administrator's word alone."""

from pathlib import Path

import httpx
import pytest

from environments.simple_index import SimpleIndex
from server.environments.conftest import W, install
from studiolo.server.services import Services


@pytest.fixture
async def blocked(ana: httpx.AsyncClient, index: SimpleIndex, churn: Path) -> SimpleIndex:
    """The index with `urllib3`, which the default policy blocks, and `tool` that needs it."""
    index.add("urllib3", "2.0")
    index.add("tool", "1.0", needs=["urllib3", "leaf"])
    return index


async def test_a_refused_dependency_is_named_with_what_needs_it(
    ana: httpx.AsyncClient, blocked: SimpleIndex, churn: Path
) -> None:
    build = await install(ana, "tool")
    assert (build["state"], build["code"]) == ("failed", "package-refused")
    (found,) = build["violations"]
    assert (found["name"], found["path"]) == ("urllib3", ["tool", "urllib3"])
    assert "blocked_packages" in found["rule"]
    said = "urllib3 is blocked (rule: blocked_packages: urllib3). tool needs it. Ask for it: studiolo request churn urllib3"
    assert build["message"] == said
    assert not list(churn.glob("lib/python3*/site-packages/leaf"))


@pytest.mark.req("S0-119")
async def test_a_check_shows_the_branch_that_is_refused(ana: httpx.AsyncClient, blocked: SimpleIndex) -> None:
    for path in (f"{W}/churn/packages/check", "/api/v1/jupyter/packages/check"):
        reply = await ana.post(path, json={"packages": ["tool"]}, timeout=60)
        plan = reply.raise_for_status().json()
        assert [one["name"] for one in plan["violations"]] == ["urllib3"], plan
        (root,) = plan["tree"]
        assert {one["name"]: one["verdict"] for one in root["needs"]} == {"leaf": "allow", "urllib3": "refuse"}


@pytest.mark.req("S0-120")
async def test_only_an_administrator_forces_and_says_why(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, blocked: SimpleIndex, services: Services
) -> None:
    form = {"packages": ["tool"], "force": True, "reason": "the vendor's tool needs it"}
    denied = await ana.post(f"{W}/churn/packages", json=form)
    assert (denied.status_code, denied.json()["code"]) == (403, "denied")
    silent = await admin.post(f"{W}/ana~churn/packages", json=form | {"reason": " "})
    assert silent.json()["code"] == "request-invalid"
    reply = await admin.post(f"{W}/ana~churn/packages", json=form, params={"wait": 60}, timeout=60)
    assert reply.json().get("state") == "ready", reply.text
    forced = [one for one in (await admin.get("/api/v1/audit")).json()["items"] if one["action"] == "environment.force"]
    assert forced[0]["detail"] == {"reason": "the vendor's tool needs it", "packages": ["urllib3==2.0"]}
    # It holds for this workspace and that version from now on.
    assert (await install(ana, "urllib3==2.0"))["state"] == "ready"
