"""GPUs are leased to sessions and kernels, are freed by their ends, and people are told when some are free."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.conftest import eventually
from server.test_kernels import Asking, asking
from studiolo.engines.base import GPU
from studiolo.kit.clock import ManualClock
from studiolo.server.gpus.choosing import TURN
from studiolo.server.gpus.tables import gpu_waits
from studiolo.server.services import Services, build
from studiolo.server.settings import Settings
from studiolo.testing.fake_engine import FakeEngine

__all__ = ["asking"]

W = "/api/v1/jupyter/workspaces"
G = "/api/v1/gpus"
CARDS = (GPU("GPU-1", "a100", "NVIDIA A100", 1024, 512, 0.5), GPU("GPU-2", "a100"), GPU("GPU-3", "v100"))


@pytest.fixture(autouse=True)
def cards(engine: FakeEngine) -> None:
    engine.machine = replace(engine.machine, gpu=len(CARDS), gpus=CARDS)


@pytest.fixture
async def churn(ana: httpx.AsyncClient) -> str:
    await ana.post(W, json={"name": "churn"})
    return "churn"


async def launch(client: httpx.AsyncClient, workspace: str = "churn", **resources: Any) -> dict[str, Any]:
    answer = await client.post(f"{W}/{workspace}/sessions", params={"wait": 30}, json={"resources": resources})
    return answer.json()


async def held(client: httpx.AsyncClient) -> dict[str, str | None]:
    """Who has which, as a person sees it."""
    found = (await client.get(G)).json()["gpus"]
    return {one["id"]: one["holder"] and one["holder"]["person"]["name"] for one in found}


def seen_by(engine: FakeEngine, session: dict[str, Any], launch: int = 1) -> str | None:
    return engine.workloads[(session["id"], launch)].spec.variables.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.req("S2-05", "S2-09", "S3-04")
async def test_a_session_sees_what_it_was_leased_and_nothing_else(
    ana: httpx.AsyncClient, engine: FakeEngine, churn: str
) -> None:
    first, second, without = await launch(ana, gpu=1), await launch(ana, gpu_type="v100"), await launch(ana)
    assert [seen_by(engine, one) for one in (first, second, without)] == ["GPU-1", "GPU-3", ""]
    shown = (await ana.get(G)).json()["gpus"][0]
    assert {name: shown[name] for name in ("model", "memory", "memory_used", "utilisation")} == {
        "model": "NVIDIA A100",
        "memory": 1024,
        "memory_used": 512,
        "utilisation": 0.5,
    }
    assert (shown["holder"]["session"], shown["holder"]["workspace"]["name"]) == (first["id"], "churn")


async def test_who_asks_for_too_many_is_told_who_has_them(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, churn: str
) -> None:
    await launch(ana, gpu=2)
    await leo.post(W, json={"name": "other"})
    refused = await launch(leo, "other", gpu=2)
    assert refused["code"] == "gpus-taken"
    assert "Held by ana (2) since" in refused["detail"]
    # Where somebody works is not told with it.
    assert "churn" not in str(refused)
    [*_, of_leo] = (await leo.get(G)).json()["gpus"][:2]
    assert (of_leo["holder"]["session"], of_leo["holder"]["workspace"]) == (None, None)
    assert (await launch(leo, "other", gpu=4))["code"] == "capacity-exceeded"


async def test_an_end_of_any_kind_frees_what_was_held(ana: httpx.AsyncClient, engine: FakeEngine, churn: str) -> None:
    session = await launch(ana, gpu=3)
    assert set((await held(ana)).values()) == {"ana"}
    engine.crash({"workload_id": session["id"], "launch": 1})

    async def is_free() -> bool:
        return set((await held(ana)).values()) == {None}

    await eventually(is_free, timedelta(seconds=30))
    assert seen_by(engine, await launch(ana, gpu=1)) == "GPU-1"


async def test_a_restart_keeps_its_gpus_and_a_smaller_one_frees_some(
    ana: httpx.AsyncClient, engine: FakeEngine, churn: str
) -> None:
    await launch(ana, gpu=1)
    session = await launch(ana, gpu=2)
    assert seen_by(engine, session) == "GPU-2,GPU-3"
    path = f"/api/v1/jupyter/sessions/{session['id']}/restart"
    again = await ana.post(path, params={"wait": 30}, json={"resources": {"gpu": 1}})
    assert again.status_code == 200, again.text
    assert seen_by(engine, session, 2) == "GPU-2"
    assert (await held(ana))["GPU-3"] is None


async def test_leases_outlive_the_control_plane(
    ana: httpx.AsyncClient, services: Services, settings: Settings, engine: FakeEngine, churn: str
) -> None:
    await launch(ana, gpu=2)
    again = build(settings, engines={"local": engine}, clock=services.clock)
    async with again.db.read() as connection:
        leases = await again.gpus._leases.list_(connection)
    await again.db.close()
    assert [lease["gpu"] for lease in leases] == ["GPU-1", "GPU-2"]


async def test_kernels_hold_theirs_beside_sessions(asking: Asking) -> None:
    workspace, kernel = await asking.workspace(), str(uuid.uuid4())
    plan = (await asking.reserve(workspace, kernel_id=kernel, KERNEL_GPUS="2")).json()["plan"]
    assert plan["variables"]["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"
    shown = (await asking.client.get(G)).json()["gpus"][0]["holder"]
    assert (shown["kind"], shown["kernel"]) == ("kernel", kernel)
    refused = await asking.reserve(workspace, KERNEL_GPUS="2")
    assert refused.json()["code"] == "gpus-taken"
    at = "2026-11-22T00:00:00Z"
    await asking.ask("ended", {"id": kernel, "exit": {"reason": "killed", "message": "It was killed.", "at": at}})
    assert set((await held(asking.client)).values()) == {None}


async def list_all_waits(connection: AsyncConnection) -> list[RowMapping]:
    return list((await connection.execute(select(gpu_waits))).mappings())


class TestTelling:
    async def told(self, client: httpx.AsyncClient, services: Services) -> list[str]:
        await services.gpus.tell()
        found = (await client.get("/api/v1/notifications")).json()["items"]
        return [one["text"] for one in found if one["kind"] == "gpu.free"]

    async def test_people_are_told_once_and_in_turn(
        self, ana: httpx.AsyncClient, leo: httpx.AsyncClient, services: Services, clock: ManualClock, churn: str
    ) -> None:
        session = await launch(ana, gpu=3)
        waiting = await leo.put(f"{G}/notify", json={"count": 2})
        assert (waiting.status_code, waiting.json()["engine"]) == (200, "local")
        assert await self.told(leo, services) == []
        clock.advance(timedelta(seconds=1))
        await ana.put(f"{G}/notify", json={"count": 2})
        await ana.post(f"/api/v1/jupyter/sessions/{session['id']}/stop")

        async def was_told() -> bool:
            return bool(await self.told(leo, services))

        await eventually(was_told, timedelta(seconds=30))
        [text] = await self.told(leo, services)
        assert text.startswith("2 GPUs are free on local.")
        assert len(await self.told(leo, services)) == 1
        assert await self.told(ana, services) == []
        clock.advance(TURN)
        assert len(await self.told(ana, services)) == 1
        assert (await leo.get(G)).json()["waiting"] is None

    async def test_who_launches_waits_no_more(self, ana: httpx.AsyncClient, churn: str) -> None:
        await ana.put(f"{G}/notify", json={"count": 1})
        await launch(ana, gpu=1)
        assert (await ana.get(G)).json()["waiting"] is None

    async def test_who_was_suspended_is_not_told_and_who_was_erased_waits_no_more(
        self, admin: httpx.AsyncClient, leo: httpx.AsyncClient, services: Services
    ) -> None:
        await leo.put(f"{G}/notify", json={"count": 1})
        suspended = await admin.post("/api/v1/people/leo/suspend")
        assert suspended.status_code < 300, suspended.text
        await services.gpus.tell()
        async with services.db.read() as connection:
            assert [wait["told_at"] for wait in await list_all_waits(connection)] == [None]
        erased = await admin.delete("/api/v1/people/leo", params={"confirm": "leo"})
        assert erased.status_code < 300, erased.text
        async with services.db.read() as connection:
            assert await list_all_waits(connection) == []

    async def test_a_wait_can_be_withdrawn(self, ana: httpx.AsyncClient, services: Services) -> None:
        await ana.put(f"{G}/notify", json={"type": "v100"})
        assert (await ana.delete(f"{G}/notify")).status_code == 204
        assert await self.told(ana, services) == []

    @pytest.mark.parametrize(
        ("wish", "code"),
        [
            ({"count": 9}, "gpu-not-available"),
            ({"type": "h100"}, "gpu-type-unknown"),
            ({"engine": "moon"}, "engine-unknown"),
        ],
    )
    async def test_what_never_comes_is_not_waited_for(
        self, ana: httpx.AsyncClient, wish: dict[str, Any], code: str
    ) -> None:
        assert (await ana.put(f"{G}/notify", json=wish)).json()["code"] == code
