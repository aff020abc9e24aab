"""A repository that a workspace was made with is there at its first launch, on any engine that shares its folder."""

from collections.abc import Mapping

import httpx
import pytest

from server.conftest import eventually
from server.test_clones import WITHIN, Server, W, repositories, server, settings
from studiolo.engines.base import Engine
from studiolo.testing.fake_engine import FakeEngine

__all__ = ["repositories", "server", "settings"]


@pytest.fixture
def jobs() -> FakeEngine:
    return FakeEngine("jobs", isolation="L2")


@pytest.fixture
def engines(engine: FakeEngine, jobs: FakeEngine) -> Mapping[str, Engine]:
    return {"local": engine, "jobs": jobs}


@pytest.mark.req("S3-06", "S3-16")
async def test_a_first_launch_elsewhere_finds_what_was_cloned(
    ana: httpx.AsyncClient, server: Server, jobs: FakeEngine
) -> None:
    url = f"http://{server.address}/open/study.git"
    made = await ana.post(W, json={"name": "study", "engine": "jobs", "clone": {"url": url}})
    assert made.status_code == 201, made.text

    async def is_over() -> bool:
        return bool((await ana.get(f"{W}/study/clone")).json()["state"] != "running")

    await eventually(is_over, WITHIN)
    session = (await ana.post(f"{W}/study/sessions", params={"wait": 30})).json()
    assert session["state"] == "running", session
    [workload] = jobs.workloads.values()
    assert (workload.spec.folder / "study" / "train.py").read_text() == "print(1)\n"
