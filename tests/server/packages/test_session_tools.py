"""What a session's launch tells its tools, as an engine gets it."""

from pathlib import Path

import httpx
import pytest

from server.conftest import eventually
from studiolo.contract.errors import InvalidInput
from studiolo.kit.crypto import MasterKey
from studiolo.server.kernels.secrets import KernelSecrets, netrc_file
from studiolo.server.packages.effective import Policies
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine

W, S = "/api/v1/jupyter/workspaces", "/api/v1/jupyter/sessions"
CONFIG = """
environment:
  TEAM: churn
  PIP_EXTRA_INDEX_URL: https://elsewhere.example/simple
  UV_INDEX: https://elsewhere.example/simple
  PIP_INDEX_URL: https://elsewhere.example/simple
"""


async def test_a_launch_leads_to_our_index_whatever_the_workspace_says(
    ana: httpx.AsyncClient, services: Services, engine: FakeEngine
) -> None:
    await ana.post(W, json={"name": "churn"})
    assert (await ana.put(f"{W}/churn/config", content=CONFIG)).status_code == 200
    session = (await ana.post(S, json={"workspace": "churn"})).json()["id"]

    async def is_launched() -> bool:
        return (session, 1) in engine.workloads

    await eventually(is_launched)
    spec = engine.workloads[session, 1].spec
    assert "elsewhere.example" not in "".join([*spec.variables.values(), *spec.tool_files.values()])
    assert spec.variables["TEAM"] == "churn"
    assert spec.variables["PIP_INDEX_URL"] == "http://127.0.0.1:28888/pypi/simple/"
    assert spec.netrc == f"machine 127.0.0.1\nlogin session\npassword {spec.api_key}\n"
    assert spec.api_key not in "".join([*spec.variables.values(), *spec.tool_files.values()])


async def test_a_policy_that_cannot_be_read_fails_the_start_with_its_words(
    ana: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Policies, workspace_id: str) -> None:
        raise InvalidInput("policy-invalid", "Line 3 is no entry.")

    await ana.post(W, json={"name": "churn"})
    monkeypatch.setattr(services.policies, "inputs", refuse.__get__(services.policies))
    session = (await ana.post(S, json={"workspace": "churn"})).json()["id"]

    async def is_failed() -> bool:
        return bool((await ana.get(f"{S}/{session}")).json()["state"] == "failed")

    await eventually(is_failed)
    assert "Line 3 is no entry." in (await ana.get(f"{S}/{session}")).json()["reason"]["message"]


def test_the_secrets_of_a_kernel_go_together(tmp_path: Path) -> None:
    secrets, file = KernelSecrets(MasterKey.load(tmp_path / "master.key")), tmp_path / "keys" / "k"
    secrets.write_key(file, "k")
    netrc_file(file).write_text("machine")
    secrets.remove_key(file)
    assert list((tmp_path / "keys").iterdir()) == []
