"""Environments of workspaces are made, told, and tried again."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from server.conftest import eventually
from studiolo.contract.errors import Unavailable
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"


async def test_a_new_workspace_gets_an_environment_of_its_own(ana: httpx.AsyncClient) -> None:
    made = (await ana.post(W, json={"name": "churn"})).json()

    async def is_ready() -> bool:
        return bool((await ana.get(f"{W}/churn")).json()["environment"]["state"] == "ready")

    await eventually(is_ready)
    assert (Path(made["environment"]["python"]).parents[1] / "pyvenv.cfg").is_file()


async def test_a_failing_build_is_told_to_whoever_launches(
    ana: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def offline(progress: Callable[[str], None]) -> Path:
        raise Unavailable("base-environment-failed", "The index cannot be reached.", hint="Check the network.")

    monkeypatch.setattr(services.environments, "_build_base", offline)
    await ana.post(W, json={"name": "churn"})
    session = (await ana.post(S, json={"workspace": "churn"}, params={"wait": 10})).json()
    assert (session["state"], session["reason"]["code"]) == ("failed", "environment-not-ready")
    assert "The index cannot be reached. Check the network." in session["reason"]["message"]


async def test_another_python_has_a_base_of_its_own(
    ana: httpx.AsyncClient, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def found(wanted: str) -> str:
        return "/opt/python3.99"

    async def build(python: str, progress: Callable[[str], None]) -> Path:
        asked.append(python)
        (tmp_path / "other" / "bin").mkdir(parents=True)
        (tmp_path / "other" / "pyvenv.cfg").write_text("version = 3.99")
        return tmp_path / "other"

    monkeypatch.setattr(services.environments._interpreters, "choose", found)
    monkeypatch.setattr(services.environments, "_build_other", build)
    for name in ("one", "two"):
        made = (await ana.post(W, json={"name": name, "environment": {"python_version": "3.99"}})).json()
        prefix = Path(made["environment"]["python"]).parents[1]

        async def is_made(prefix: Path = prefix) -> bool:
            return (prefix / ".ready").exists()

        await eventually(is_made)
        assert (prefix / "pyvenv.cfg").read_text() == "version = 3.99"
    assert asked == ["/opt/python3.99"]
