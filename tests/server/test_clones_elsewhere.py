"""A repository that a workspace was made with is there at its first launch, on any engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import eventually
from server.test_clones import WITHIN, Server, W, repositories, server, settings
from studiolo.engines.base import Engine, StoredPlace
from studiolo.server.moves.bringing import AWAY
from studiolo.testing.fake_engine import FakeEngine
from studiolo.testing.keeping_engine import KeepingEngine

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


class TestOnAnEngineThatKeepsFilesItself:
    """The clone is brought to where the engine has the workspace's files; the token stays on the platform's machine."""

    @pytest.fixture
    def pods(self, tmp_path: Path) -> KeepingEngine:
        return KeepingEngine("pods", tmp_path / "pods")

    @pytest.fixture
    def engines(self, engine: FakeEngine, pods: KeepingEngine) -> Mapping[str, Engine]:
        return {"local": engine, "pods": pods}

    async def cloned(self, client: httpx.AsyncClient, url: str) -> tuple[Path, dict[str, Any]]:
        """Make a workspace with a clone; return its folder here and how the clone ended."""
        made = await client.post(W, json={"name": "study", "engine": "pods", "clone": {"url": url}})
        assert made.status_code == 201, made.text
        return Path(made.json()["path"]), await self.over(client)

    async def over(self, client: httpx.AsyncClient) -> dict[str, Any]:
        async def is_over() -> bool:
            return bool((await client.get(f"{W}/study/clone")).json()["state"] != "running")

        await eventually(is_over, WITHIN)
        return dict((await client.get(f"{W}/study/clone")).json())

    @pytest.mark.req("S3-06")
    async def test_the_repository_is_among_its_files(
        self, ana: httpx.AsyncClient, server: Server, pods: KeepingEngine
    ) -> None:
        folder, progress = await self.cloned(ana, f"http://{server.address}/open/study.git")
        assert progress["state"] == "done", progress
        there = pods.files_of(StoredPlace(folder, "study", "ana"))
        assert (there / "study" / "train.py").read_text() == "print(1)\n"
        assert (there / "study" / ".git" / "HEAD").read_text() == "ref: refs/heads/main\n"
        assert not (folder / "study").exists()

    async def test_one_that_is_there_already_is_left_alone(
        self, ana: httpx.AsyncClient, server: Server, pods: KeepingEngine
    ) -> None:
        url = f"http://{server.address}/open/study.git"
        folder, _ = await self.cloned(ana, url)
        work = pods.files_of(StoredPlace(folder, "study", "ana")) / "study" / "train.py"
        work.write_text("mine")
        assert (await ana.post(f"{W}/study/clone", json={"url": url})).status_code == 202
        progress = await self.over(ana)
        assert (progress["state"], "already" in progress["message"]) == ("failed", True), progress
        assert work.read_text() == "mine"

    async def test_nothing_of_it_stays_where_there_is_no_room_or_a_file_is_spoiled(
        self, ana: httpx.AsyncClient, server: Server, pods: KeepingEngine
    ) -> None:
        pods.spoils = f"{AWAY}/train.py"
        folder, progress = await self.cloned(ana, f"http://{server.address}/open/study.git")
        assert progress["state"] == "failed", progress
        there = pods.files_of(StoredPlace(folder, "study", "ana"))
        assert [path for path in there.rglob("*") if path.is_file()] == []
        assert not (there / "study").exists()

    async def test_what_a_session_made_under_its_name_meanwhile_is_left_alone(
        self, ana: httpx.AsyncClient, server: Server, pods: KeepingEngine
    ) -> None:
        pods.may_write.clear()
        url = f"http://{server.address}/open/study.git"
        made = await ana.post(W, json={"name": "study", "engine": "pods", "clone": {"url": url}})
        there = pods.files_of(StoredPlace(Path(made.json()["path"]), "study", "ana"))

        async def is_bringing() -> bool:
            return (there / AWAY).exists()

        await eventually(is_bringing, WITHIN)
        (there / "study").mkdir()
        (there / "study" / "train.py").write_text("mine")
        pods.may_write.set()
        progress = await self.over(ana)
        assert (progress["state"], "already" in progress["message"]) == ("failed", True), progress
        assert (there / "study" / "train.py").read_text() == "mine"
        assert not (there / AWAY).exists()

    async def test_one_that_was_killed_on_its_way_is_brought_anew(
        self, ana: httpx.AsyncClient, server: Server, pods: KeepingEngine
    ) -> None:
        made = await ana.post(W, json={"name": "study", "engine": "pods"})
        there = pods.files_of(StoredPlace(Path(made.json()["path"]), "study", "ana"))
        (there / AWAY / "old").mkdir(parents=True)
        await ana.post(f"{W}/study/clone", json={"url": f"http://{server.address}/open/study.git"})
        assert (await self.over(ana))["state"] == "done"
        assert sorted(path.name for path in (there / "study").iterdir()) == [".git", "train.py"]

    async def test_sessions_of_the_workspace_are_stopped_first(self, ana: httpx.AsyncClient, server: Server) -> None:
        await ana.post(W, json={"name": "study", "engine": "pods"})
        await ana.post(f"{W}/study/sessions", params={"wait": 30})
        refused = await ana.post(f"{W}/study/clone", json={"url": f"http://{server.address}/open/study.git"})
        assert (refused.status_code, refused.json()["code"]) == (409, "workspace-busy")
