"""The engine keeps the contract of engines on a real JupyterHub."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from engines.jupyterhub.conftest import Settings, ending
from sdk.cutting_proxy import CuttingProxy
from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Handle, WorkloadSpec
from studiolo.engines.jupyterhub.engine import HubEngine
from studiolo.testing.engine_contract import *  # noqa: F403
from studiolo.testing.engine_contract import EngineCase

pytestmark = [pytest.mark.engine, pytest.mark.engine_hub, pytest.mark.timeout(400)]


@pytest.fixture
def way(hub: dict[str, str]) -> Iterator[CuttingProxy]:
    """The engine's way to the Hub, which can be cut."""
    with CuttingProxy(urlsplit(hub["url"]).port or 80) as proxy:
        yield proxy


@pytest.fixture
async def engine(make_settings: Settings, way: CuttingProxy) -> AsyncIterator[HubEngine]:
    async with ending(make_settings(url=way.url)) as made:
        yield made


@pytest.fixture
def case(
    engine: HubEngine, make_spec: Callable[..., WorkloadSpec], way: CuttingProxy, make_settings: Settings
) -> EngineCase:
    """The Hub as a case of the contract."""

    async def crash(handle: Handle) -> None:
        process_of(handle).kill()

    async def break_engine() -> None:
        way.accepts = False
        way.cut()
        # What it saw last counts for a second more.
        with contextlib.suppress(Unavailable):
            async with asyncio.timeout(30):
                while await engine._lookout.look(within_seconds=1):
                    await asyncio.sleep(0.05)

    async def mend_engine() -> None:
        way.accepts = True

    async def describe_object(handle: Handle) -> str:
        settings = make_settings()
        headers = {"Authorization": f"token {settings.token_file.read_text().strip()}"}
        async with httpx.AsyncClient(base_url=f"{settings.url}/hub/api/", headers=headers, timeout=60) as http:
            model = (await http.get(f"users/{handle['user']}")).raise_for_status().json()
        return json.dumps(model["servers"][handle["server"]]) + "\n".join(process_of(handle).cmdline())

    return EngineCase(
        engine=engine,
        make_spec=make_spec,
        unknown_handle=lambda: {"workload_id": "s-0", "launch": 1, "user": "nobody", "server": "s-0-1-000000"},
        crash=crash,
        patience_seconds=90,
        # Of which the Hub itself waits ten before it says that it begins, or that it ends.
        verb_seconds=30,
        notice_seconds=30,
        make_waiting_spec=lambda: make_spec(options={"hold": 80}),
        break_engine=break_engine,
        mend_engine=mend_engine,
        describe_object=describe_object,
        carries_files=True,
    )


def process_of(handle: Handle) -> psutil.Process:
    """Return the process of a ready server of the Hub on this machine."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("JUPYTERHUB_SERVER_NAME") == handle["server"]:
                return process
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    raise AssertionError(f"no process of {handle['server']}")
