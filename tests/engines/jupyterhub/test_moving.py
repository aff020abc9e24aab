"""A workspace moves to a real JupyterHub with its files, and comes back as it was."""

import os
import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from engines.jupyterhub.conftest import Settings, ending
from server.conftest import People, clock, empty_database, eventually, people, services, settings
from server.test_moves import W, contents
from studiolo.contract.errors import NotFound
from studiolo.engines.base import Engine, StoredPlace
from studiolo.engines.jupyterhub.engine import HubEngine
from studiolo.kit.reconcile import running
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine

__all__ = ["clock", "empty_database", "people", "services", "settings"]
pytestmark = [pytest.mark.engine, pytest.mark.engine_hub, pytest.mark.timeout(900)]
_WITHIN = timedelta(seconds=300)


@pytest.fixture
def engines(engine: HubEngine) -> Mapping[str, Engine]:
    return {"local": FakeEngine(), "jupyterhub": engine}


async def test_a_workspace_goes_to_the_hub_and_comes_back_as_it_was(
    people: People,
    services: Services,
) -> None:
    async with await people.client(f"ana-{secrets.token_hex(4)}") as ana, running(services.move_steps.runner):
        folder = Path((await ana.post(W, json={"name": "churn"})).json()["path"])
        (folder / ".git").mkdir()
        (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        (folder / "data.bin").write_bytes(os.urandom(9 << 20))
        (folder / "run.sh").write_text("#!/bin/sh\n")
        (folder / "run.sh").chmod(0o755)
        (folder / "latest").symlink_to("data.bin")
        (folder / os.fsdecode(b"na\xefve.txt")).write_text("not UTF-8")
        before = contents(folder)
        for engine, there in (("jupyterhub", {}), ("local", before)):
            assert (await ana.post(f"{W}/churn/move", json={"engine": engine})).status_code == 202
            await reach(ana, "moved")
            await ana.post(f"{W}/churn/move/confirm")
            await reach(ana, "done")
            assert contents(folder) == there


async def reach(client: httpx.AsyncClient, state: str) -> None:
    """Wait until the move is in this state."""

    async def is_there() -> bool:
        told = (await client.get(f"{W}/churn/move")).json()
        assert told["state"] not in ("failed", "cancelled"), told
        return bool(told["state"] == state)

    await eventually(is_there, _WITHIN)


async def test_somebody_whom_the_hub_does_not_know_has_nothing_there(make_settings: Settings) -> None:
    place = StoredPlace(Path("/data/workspaces/w-1"), "churn", f"nobody-{secrets.token_hex(4)}")
    async with ending(make_settings(create_users=False)) as engine:
        await engine.forget_store(place)
        with pytest.raises(NotFound, match="has no user"):
            async with engine.open_store(place):
                pass
