"""A real JupyterHub, as `scripts/engines/hub.sh` sets one up, and engines that use it."""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.base import WorkloadSpec
from studiolo.engines.jupyterhub.engine import HubEngine
from studiolo.engines.jupyterhub.settings import HubSettings

Settings = Callable[..., HubSettings]


@pytest.fixture(scope="session")
def hub() -> dict[str, str]:
    """Where the real Hub is: the settings `url` and `token_file`."""
    url, token_file = os.environ.get("STUDIOLO_TEST_HUB_URL"), os.environ.get("STUDIOLO_TEST_HUB_TOKEN_FILE")
    if not url or not token_file:
        reason = 'no JupyterHub: scripts/engines/hub.sh up; eval "$(scripts/engines/hub.sh env)"'
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return {"url": url, "token_file": token_file}


@pytest.fixture
def make_settings(hub: dict[str, str]) -> Settings:
    """Settings for the real Hub; keywords change some."""

    def make(**values: Any) -> HubSettings:
        return HubSettings(**{**hub, "create_users": True, "poll_seconds": 1, **values})

    return make


@pytest.fixture
async def engine(make_settings: Settings) -> AsyncIterator[HubEngine]:
    """An engine of a platform of its own."""
    async with ending(make_settings()) as made:
        yield made


@pytest.fixture
def make_spec() -> Callable[..., WorkloadSpec]:
    """Specs of new workloads of one new person; keywords change some of it."""
    person = f"ana-{secrets.token_hex(4)}"

    def make(**values: Any) -> WorkloadSpec:
        workload_id = new_id(IdKind.SESSION)
        known = {"folder": Path("/nowhere"), "environment": Path("/nowhere"), "secret": "", "person": person}
        return WorkloadSpec(**{"workload_id": workload_id, "launch": 1, "base_url": "/", **known, **values})

    return make


@contextlib.asynccontextmanager
async def ending(settings: HubSettings) -> AsyncIterator[HubEngine]:
    """Run an engine of a platform of its own, and end what it left at the Hub."""
    made = HubEngine(settings, instance=secrets.token_hex(8))
    try:
        yield made
        await made.sweep(_nothing)
    finally:
        await made.aclose()


async def _nothing() -> set[tuple[str, int]]:
    return set()
