"""Environments of workspaces are made, told, and tried again."""

import asyncio
import shutil
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


async def test_a_deleted_workspace_is_not_tried_again(
    ana: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def offline(progress: Callable[[str], None]) -> Path:
        raise Unavailable("base-environment-failed", "The index cannot be reached.", hint="Check the network.")

    monkeypatch.setattr(services.environments, "_build_base", offline)
    made = (await ana.post(W, json={"name": "churn"})).json()
    (await ana.delete(f"{W}/churn")).raise_for_status()
    services.environments.want(made["id"])

    async def is_forgotten() -> bool:
        return await services.environments._due() == []

    await eventually(is_forgotten)


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


async def test_of_many_workspaces_only_those_that_are_used_get_an_environment(
    ana: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    build = services.environments._build_base

    async def slow(progress: Callable[[str], None]) -> Path:
        await gate.wait()
        return await build(progress)

    monkeypatch.setattr(services.environments, "_build_base", slow)
    made = [(await ana.post(W, json={"name": f"w-{number}"})).json() for number in range(8)]
    launched = (await ana.post(S, json={"workspace": "w-7"})).json()
    gate.set()
    session = (await ana.get(f"{S}/{launched['id']}", params={"wait": 10})).json()
    assert session["state"] == "running"

    async def are_made_ahead() -> bool:
        return len([one for one in (await ana.get(W)).json()["items"] if one["environment"]["state"] == "ready"]) == 4

    await eventually(are_made_ahead)
    assert not Path(made[5]["environment"]["python"]).parents[1].exists()
    assert (await ana.post(S, json={"workspace": "w-5"}, params={"wait": 10})).json()["state"] == "running"


async def test_a_disk_that_is_nearly_full_is_named_to_whoever_launches(
    ana: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: used._replace(free=100 << 20))
    await ana.post(W, json={"name": "churn"})
    session = (await ana.post(S, json={"workspace": "churn"}, params={"wait": 10})).json()
    assert "100 MiB free" in session["reason"]["message"]
    monkeypatch.undo()

    async def starts() -> bool:
        reply = await ana.post(f"{S}/{session['id']}/start", params={"wait": 5})
        return bool(reply.json()["state"] == "running")

    await eventually(starts)
