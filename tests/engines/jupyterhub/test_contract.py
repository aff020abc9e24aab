"""The engine keeps the contract of engines on a real JupyterHub."""

from collections.abc import Callable

import psutil
import pytest

from studiolo.engines.base import Handle, WorkloadSpec
from studiolo.engines.jupyterhub.engine import HubEngine
from studiolo.testing.engine_contract import *  # noqa: F403
from studiolo.testing.engine_contract import EngineCase

pytestmark = [pytest.mark.engine, pytest.mark.engine_hub]


@pytest.fixture
def case(engine: HubEngine, make_spec: Callable[..., WorkloadSpec]) -> EngineCase:
    """The Hub as a case of the contract."""

    async def crash(handle: Handle) -> None:
        process_of(handle).kill()

    def unknown_handle() -> Handle:
        return {"workload_id": "s-0000000000000000", "launch": 1, "user": "nobody", "server": "s-0-1-000000"}

    return EngineCase(
        engine=engine, make_spec=make_spec, unknown_handle=unknown_handle, crash=crash, patience_seconds=90
    )


def process_of(handle: Handle) -> psutil.Process:
    """Return the process of a ready server of the Hub on this machine."""
    name = handle["server"]
    for process in psutil.process_iter():
        try:
            if process.environ().get("JUPYTERHUB_SERVER_NAME") == name:
                return process
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    raise AssertionError(f"no process of {name}")
