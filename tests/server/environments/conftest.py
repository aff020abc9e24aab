"""A control plane with a real base of one small package, and an index made on the spot."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from environments.simple_index import SimpleIndex
from environments.wheels import make_wheel, write_lock
from studiolo.server.environments.base import ensure_base
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleIndex:
    """The index that this machine's uv asks: `leaf` 1.0 and 2.0, `stem` that needs `leaf`."""
    made = SimpleIndex(tmp_path / "index")
    made.add("leaf", "1.0")
    made.add("leaf", "2.0")
    made.add("stem", "1.0", needs=["leaf"])
    monkeypatch.setenv("UV_DEFAULT_INDEX", made.url)
    return made


@pytest.fixture
async def churn(
    ana: httpx.AsyncClient, index: SimpleIndex, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The environment of Ana's workspace `churn`, from a base that holds `tiny` 1.0 alone."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    lock = write_lock(tmp_path / "base.lock", make_wheel(wheels, "tiny", "1.0"))

    async def build(progress: Callable[[str], None]) -> Path:
        limit = timedelta(minutes=2)
        return await ensure_base(
            services.settings.data_dir, python="", lock_file=lock, timeout=limit, progress=progress
        )

    monkeypatch.setattr(services.environments, "_build_base", build)
    # No index host runs here: files come from where the platform's machine gets them.
    monkeypatch.setattr(services.builder._maker, "index", None)
    made = (await ana.post(W, json={"name": "churn"})).json()
    return services.settings.data_dir / "environments" / str(made["id"])


async def install(client: httpx.AsyncClient, *packages: str, **more: Any) -> dict[str, Any]:
    """Install packages in `churn` and return the build once it has ended."""
    form = {"packages": list(packages), **more}
    reply = await client.post(f"{W}/churn/packages", json=form, params={"wait": 60})
    assert reply.status_code == 202, reply.text
    build: dict[str, Any] = reply.json()
    return build


async def ended(client: httpx.AsyncClient, build: dict[str, Any]) -> dict[str, Any]:
    """Return a build once it has ended."""
    reply = await client.get(f"{W}/churn/environment/builds/{build['number']}", params={"wait": 60})
    found: dict[str, Any] = reply.raise_for_status().json()
    return found
