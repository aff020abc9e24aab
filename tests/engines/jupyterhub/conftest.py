"""A real JupyterHub, as `scripts/engines/hub.sh` sets one up, and engines that use it."""

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
    """An engine of a platform that no other test is; what it left at the Hub ends with it."""
    made = HubEngine(make_settings(), instance=secrets.token_hex(8))
    yield made
    await made.sweep(_nothing)
    await made.aclose()


@pytest.fixture
def make_spec() -> Callable[..., WorkloadSpec]:
    """Specs of new workloads of one new person; keywords change some of it."""
    person = f"ana-{secrets.token_hex(4)}"

    def make(**values: Any) -> WorkloadSpec:
        workload_id = new_id(IdKind.SESSION)
        known = {"folder": Path("/nowhere"), "environment": Path("/nowhere"), "secret": "", "person": person}
        return WorkloadSpec(**{"workload_id": workload_id, "launch": 1, "base_url": "/", **known, **values})

    return make


async def _nothing() -> set[tuple[str, int]]:
    return set()
