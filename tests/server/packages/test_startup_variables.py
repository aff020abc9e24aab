"""The two lists of packages in the platform's environment: what may be installed, and what may be there at a start."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import People, eventually
from server.test_kernels import Asking
from studiolo.server.services import Services
from studiolo.server.settings import Settings

W, S = "/api/v1/jupyter/workspaces", "/api/v1/jupyter/sessions"
INSTALL, START = "FETCHML_JUPYTER_BLOCKED_PACKAGES", "FETCHML_JUPYTER_STARTUP_BLOCKED_PACKAGES"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Settings:
    """Settings of a platform that was started with the variables of the test's parameter."""
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    return Settings(data_dir=tmp_path / "data", port=28888, run_dir=tmp_path / "run")


def _put(services: Services, workspace_id: str, *packages: str) -> None:
    """Have a workspace's environment hold these."""
    site = services.settings.data_dir / "environments" / workspace_id / "lib/python3.11/site-packages"
    for package in packages:
        name, _, version = package.partition("==")
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


async def _start(client: httpx.AsyncClient, services: Services, *packages: str) -> dict[str, Any]:
    """Start a session in a workspace whose environment holds these; return it as it settles."""
    made = (await client.post(W, json={"name": "churn"})).json()

    async def is_ready() -> bool:
        return bool((await client.get(f"{W}/churn")).json()["environment"]["state"] == "ready")

    await eventually(is_ready)
    _put(services, made["id"], *packages)
    session = (await client.post(S, json={"workspace": "churn"})).json()
    seen: dict[str, Any] = {}

    async def is_settled() -> bool:
        seen.update((await client.get(f"{S}/{session['id']}")).json())
        return bool(seen["state"] == "failed" or seen["started_at"])

    await eventually(is_settled)
    return seen


@pytest.mark.req("S0-25")
@pytest.mark.parametrize("settings", [{START: "torch,six<1.17"}], indirect=True)
async def test_a_listed_package_keeps_a_session_from_starting_and_is_named(
    ana: httpx.AsyncClient, services: Services
) -> None:
    seen = await _start(ana, services, "numpy==2.1.0", "six==1.16.0")
    assert (seen["state"], seen["reason"]["code"]) == ("failed", "environment-refused")
    assert "six 1.16.0 (six<1.17)" in seen["reason"]["message"]
    assert START in seen["reason"]["message"]


@pytest.mark.req("S0-24")
@pytest.mark.parametrize("settings", [{START: "off"}, {START: ""}, {}], indirect=True)
async def test_without_a_list_what_is_there_may_start(ana: httpx.AsyncClient, services: Services) -> None:
    assert (await _start(ana, services, "requests==2.32.5"))["state"] != "failed"


@pytest.mark.req("S0-22", "S0-26")
@pytest.mark.parametrize("settings", [{INSTALL: "requests,urllib3,httpx", START: "torch"}], indirect=True)
async def test_what_may_not_be_installed_may_be_there_when_something_starts(
    ana: httpx.AsyncClient, services: Services
) -> None:
    assert (await _start(ana, services, "requests==2.32.5", "urllib3==2.5.0"))["state"] != "failed"


@pytest.mark.req("S0-26")
@pytest.mark.parametrize("settings", [{START: "six"}], indirect=True)
async def test_what_may_not_be_there_at_a_start_may_be_installed_all_the_same(
    ana: httpx.AsyncClient, services: Services
) -> None:
    seen = await _start(ana, services, "six==1.17.0")
    assert seen["reason"]["code"] == "environment-refused"
    _, policy = await services.policies.effective(seen["workspace"]["id"])
    assert not any(rule.name == "six" for rule in policy.blocked)


@pytest.mark.req("S0-25")
@pytest.mark.parametrize("settings", [{START: "six"}], indirect=True)
async def test_a_kernel_without_a_session_is_refused_alike(
    people: People, services: Services, ana: httpx.AsyncClient
) -> None:
    asking = await Asking(people, services, ana).prepare()
    workspace = await asking.workspace()
    _put(services, workspace, "six==1.17.0")
    refused = await asking.reserve(workspace)
    assert (refused.status_code, refused.json()["code"]) == (403, "environment-refused")
    assert "six 1.17.0" in refused.json()["detail"]
