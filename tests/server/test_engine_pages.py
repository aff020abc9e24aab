"""Engines on pages: shown, chosen in a form, and kept out of the way where there is only one."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from server.conftest import eventually
from server.test_moving_pages import Browser, browser
from studiolo.engines.base import GPU, Engine
from studiolo.testing.fake_engine import FakeEngine

__all__ = ["browser"]


class TestSeveral:
    @pytest.fixture
    def pods(self) -> FakeEngine:
        engine = FakeEngine("pods", isolation="L2")
        engine.runs_images = True
        return engine

    @pytest.fixture
    def engines(self, engine: FakeEngine, pods: FakeEngine) -> Mapping[str, Engine]:
        return {"local": engine, "pods": pods}

    @pytest.fixture
    async def churn(self, browser: Browser) -> str:
        """The address of a workspace."""
        made = await browser.post("/workspaces", name="churn")
        return made.headers["location"].partition("?")[0]

    async def test_the_page_says_what_each_keeps_apart_and_how_it_is(self, browser: Browser, pods: FakeEngine) -> None:
        pods.behaviour.answers = False
        page = await browser.get("/engines")
        assert "no protection between sessions" in page
        assert "Containers, jobs or pods of their own" in page
        assert "Does not answer" in page
        assert "The fake engine does not answer." in page
        assert "engine pods" in (await browser.get("/admin")).lower()

    async def test_the_form_launches_on_the_engine_that_was_chosen(
        self, browser: Browser, pods: FakeEngine, churn: str
    ) -> None:
        page = await browser.get(f"{churn}/launch?engine=pods&time_limit=8h")
        assert "on pods" in page
        assert "--time-limit 8h --engine pods" in page
        went = await browser.post(f"{churn}/launch", engine="pods", time_limit="8h", image="quay.io/x:1")
        assert went.status_code == 303, went.text
        session_id = went.headers["location"].removeprefix("/go/")
        shown = await browser.get(f"/sessions/{session_id}")
        assert "pods engine" in shown

        async def has_started() -> bool:
            return bool(pods.workloads)

        await eventually(has_started, timedelta(seconds=30))
        [workload] = pods.workloads.values()
        assert (workload.spec.image, workload.spec.limits.seconds) == ("quay.io/x:1", 28_800)

    async def test_a_workspace_moves_in_its_settings(self, browser: Browser, churn: str) -> None:
        moved = await browser.post(f"{churn}/size", engine="pods", min_isolation="L2")
        assert moved.status_code == 303, moved.text
        assert "pods engine, isolation L2" in await browser.get(churn)
        refused = await browser.post(f"{churn}/size", engine="-")
        assert (refused.status_code, "demands isolation L2" in refused.text) == (422, True)
        outlook = await browser.get(f"{churn}/launch?engine=local")
        assert "demands isolation L2" in outlook

    async def test_what_a_start_waits_for_is_on_its_page(self, browser: Browser, pods: FakeEngine, churn: str) -> None:
        pods.behaviour.has_places = False
        went = await browser.post(f"{churn}/launch", engine="pods")
        session_id = went.headers["location"].removeprefix("/go/")

        async def waits() -> bool:
            reply = await browser.client.get(f"/api/v1/jupyter/sessions/{session_id}")
            return bool(reply.json()["progress"])

        await eventually(waits, timedelta(seconds=30))
        page = await browser.get(f"/sessions/{session_id}")
        assert "In the queue of the fake engine." in page
        assert "Queue" in page
        listed = await browser.get(f"{churn}/sessions")
        assert "Waiting" in listed
        assert "In the queue of the fake engine." in listed

    async def test_the_sidebar_warns_of_the_engine_that_a_page_is_about(self, browser: Browser, churn: str) -> None:
        warning = "Anyone with a session on this machine"
        assert f"On local: {warning}" in await browser.get("/engines")
        assert f'<p class="isolation">{warning}' in await browser.get(churn)
        await browser.post(f"{churn}/size", engine="pods")
        assert warning not in await browser.get(churn)

    async def test_the_rail_marks_where_one_is(self, browser: Browser) -> None:
        assert '<a href="/engines" class="in-rail" aria-current="page">' in await browser.get("/engines")

    async def test_what_an_engine_warns_of_is_said(self, browser: Browser, pods: FakeEngine) -> None:
        pods.remark = "It was never tried."
        assert "It was never tried." in await browser.get("/engines")
        [_, shown] = (await browser.client.get("/api/v1/engines")).json()
        assert shown["remark"] == "It was never tried."


class TestGPUs:
    @pytest.fixture(autouse=True)
    def cards(self, engine: FakeEngine) -> None:
        card = GPU("GPU-1", "a100", "NVIDIA A100", 40 << 30, 1 << 30, 0.37)
        engine.machine = replace(engine.machine, gpu=1, gpus=(card,))

    async def test_the_page_shows_who_has_which_and_tells_when_it_is_free(self, browser: Browser) -> None:
        page = await browser.get("/engines")
        assert "1 of 40 GiB" in page
        assert "37 %" in page
        assert "Free</span>" in page
        churn = (await browser.post("/workspaces", name="churn")).headers["location"].partition("?")[0]
        assert (await browser.post(f"{churn}/launch", gpu="1")).status_code == 303
        assert "Free</span>" not in await browser.get("/engines")
        refused = await browser.post(f"{churn}/launch", gpu="1")
        assert (refused.status_code, "Held by" in refused.text) == (429, True)
        assert 'href="/engines#gpus"' in refused.text
        asked = await browser.post("/engines/gpus/notify", count="1", kind="local a100")
        assert asked.headers["location"] == "/engines?said=will-be-told#gpus"
        assert "You are told when 1 GPU of the type" in await browser.get("/engines")
        assert (await browser.post("/engines/gpus/withdraw")).status_code == 303
        assert "You are told when" not in await browser.get("/engines")

    async def test_a_wish_that_never_comes_true_is_refused_on_the_page(self, browser: Browser) -> None:
        refused = await browser.post("/engines/gpus/notify", count="2", kind="local ")
        assert (refused.status_code, "has 1 in all" in refused.text) == (422, True)


async def test_with_one_engine_nothing_is_to_be_chosen(browser: Browser) -> None:
    made = await browser.post("/workspaces", name="churn")
    churn = made.headers["location"].partition("?")[0]
    assert 'name="engine"' not in await browser.get(f"{churn}/launch")
    assert 'name="engine"' not in await browser.get(f"{churn}/settings")
    assert "local engine, isolation L0" in await browser.get(churn)
