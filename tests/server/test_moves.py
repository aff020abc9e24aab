"""A workspace moves between engines with its files: copied, checked, kept until confirmed; taken back whole if not."""

import asyncio
import contextlib
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import eventually
from server.test_moving_pages import Browser, browser
from studiolo.engines.base import StoredPlace
from studiolo.kit.reconcile import running
from studiolo.server.engines.engines import Engines
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine
from studiolo.testing.keeping_engine import KeepingEngine

__all__ = ["browser"]
W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
WITHIN = timedelta(seconds=60)


@pytest.fixture
def pods(tmp_path: Path) -> KeepingEngine:
    return KeepingEngine("pods", tmp_path / "pods")


@pytest.fixture
def engines(engine: FakeEngine, pods: KeepingEngine) -> Engines:
    return Engines({"local": engine, "pods": pods, "batch": FakeEngine("batch")})


@pytest.fixture
async def mover(services: Services) -> AsyncIterator[None]:
    """The reconciler of moves, which the fixture of services does not run."""
    async with running(services.move_steps.runner):
        yield


@pytest.fixture
async def folder(ana: httpx.AsyncClient) -> Path:
    """The folder of ana's workspace `churn`, with files of all kinds."""
    folder = Path((await ana.post(W, json={"name": "churn"})).json()["path"])
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "notebooks" / "deep" / "empty").mkdir(parents=True)
    (folder / "data.bin").write_bytes(os.urandom(9 << 20))
    (folder / "nothing").touch()
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "latest").symlink_to("data.bin")
    (folder / os.fsdecode(b"na\xefve.txt")).write_text("not UTF-8")
    return folder


def contents(folder: Path) -> dict[str, Any]:
    """What a folder holds: digests of files with their modes and seconds, targets of links, names of folders."""
    found: dict[str, Any] = {}
    for path in folder.rglob("*"):
        seen = path.lstat()
        told: Any = path.is_dir()
        if path.is_symlink():
            told = str(path.readlink())
        elif path.is_file():
            told = (hashlib.sha256(path.read_bytes()).hexdigest(), seen.st_mode, int(seen.st_mtime))
        found[os.fsencode(path.relative_to(folder)).hex()] = told
    return found


async def move(client: httpx.AsyncClient, engine: str = "pods", name: str = "churn") -> dict[str, Any]:
    answer = await client.post(f"{W}/{name}/move", json={"engine": engine})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def reach(client: httpx.AsyncClient, *states: str, name: str = "churn") -> dict[str, Any]:
    """Wait until the move is in one of these states."""
    told: dict[str, Any] = {}

    async def is_there() -> bool:
        told.update((await client.get(f"{W}/{name}/move")).json())
        return told["state"] in states

    with contextlib.suppress(TimeoutError):
        await eventually(is_there, WITHIN)
    assert told["state"] in states, told
    return told


def kept(pods: KeepingEngine, folder: Path) -> Path:
    return pods.files_of(StoredPlace(folder, "churn", "ana"))


@pytest.mark.usefixtures("mover")
class TestMoving:
    async def test_all_files_go_and_come_back_as_they_were(
        self, ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
    ) -> None:
        before = contents(folder)
        assert (await move(ana))["state"] == "copying"
        told = await reach(ana, "moved")
        assert (told["percent"], told["files_done"], told["bytes_done"]) == (100, len(before), told["bytes_total"])
        assert "confirm" in told["message"]
        assert (await ana.get(f"{W}/churn")).json()["engine"] == "pods"
        assert contents(kept(pods, folder)) == contents(folder) == before
        confirmed = await ana.post(f"{W}/churn/move/confirm")
        assert confirmed.json()["state"] in ("releasing", "done")
        await reach(ana, "done")
        assert contents(folder) == {}
        (kept(pods, folder) / "made there").write_text("by a session")
        await move(ana, "batch")
        await reach(ana, "moved")
        assert contents(folder) == before | contents(kept(pods, folder))
        await ana.post(f"{W}/churn/move/confirm")
        await reach(ana, "done")
        assert not kept(pods, folder).exists()
        session = (await ana.post(S, json={"workspace": "churn"}, params={"wait": 30})).json()
        assert (session["engine"], session["state"]) == ("batch", "running")
        said = [event["action"] for event in (await ana.get(f"{W}/churn/activity")).json()["items"]]
        assert said[1:7] == ["workspace.move-confirm", "workspace.moved", "workspace.move"] * 2

    async def test_between_engines_that_share_storage_it_is_done_at_once(
        self, ana: httpx.AsyncClient, folder: Path
    ) -> None:
        told = await move(ana, "batch")
        assert (told["state"], told["percent"], told["files_total"]) == ("done", 100, 0)
        assert (await ana.get(f"{W}/churn")).json()["engine"] == "batch"
        assert (folder / "data.bin").exists()
        assert (await ana.post(f"{W}/churn/move", json={"engine": "batch"})).json()["code"] == "move-needless"

    async def test_what_moved_can_be_taken_back_and_what_it_left_is_the_workspace_again(
        self, ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
    ) -> None:
        before = contents(folder)
        await move(ana)
        await reach(ana, "moved")
        again = (await ana.post(f"{W}/churn/move", json={"engine": "local"})).json()
        assert again["code"] == "move-running"
        assert "--confirm" in again["hint"]
        (kept(pods, folder) / "run.sh").unlink()
        assert (await ana.delete(f"{W}/churn/move")).json()["state"] in ("returning", "cancelled")
        await reach(ana, "cancelled")
        assert (await ana.get(f"{W}/churn")).json()["engine"] == "local"
        assert contents(folder) == before
        assert not kept(pods, folder).exists()
        assert (await ana.delete(f"{W}/churn/move")).json()["code"] == "move-not-found"
        assert (await ana.post(f"{W}/churn/move/confirm")).json()["code"] == "move-not-found"

    async def test_nothing_starts_meanwhile_and_a_cancelled_move_leaves_all_as_it_was(
        self, ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
    ) -> None:
        before = contents(folder)
        pods.may_write.clear()
        await move(ana)
        refused = await ana.post(S, json={"workspace": "churn"})
        assert (refused.status_code, refused.json()["code"]) == (409, "workspace-moving")
        assert "from local to pods" in refused.json()["detail"]
        assert (await ana.delete(f"{W}/churn/move")).status_code == 200
        pods.may_write.set()
        await reach(ana, "cancelled")
        assert (contents(folder), kept(pods, folder).exists()) == (before, False)
        assert (await ana.post(S, json={"workspace": "churn"}, params={"wait": 30})).json()["state"] == "running"

    async def test_a_session_that_runs_stands_in_the_way(self, ana: httpx.AsyncClient, folder: Path) -> None:
        session = (await ana.post(S, json={"workspace": "churn"}, params={"wait": 30})).json()
        assert (await ana.post(f"{W}/churn/move", json={"engine": "pods"})).json()["code"] == "workspace-busy"
        await ana.post(f"{S}/{session['id']}/stop", params={"wait": 30})
        await move(ana)
        await reach(ana, "moved")
        assert (await ana.post(f"{S}/{session['id']}/start", params={"wait": 30})).json()["engine"] == "pods"

    async def test_files_put_here_while_the_workspace_was_away_are_put_aside(
        self, ana: httpx.AsyncClient, folder: Path, tmp_path: Path
    ) -> None:
        await move(ana)
        await reach(ana, "moved")
        await ana.post(f"{W}/churn/move/confirm")
        await reach(ana, "done")
        (folder / "stray.txt").write_text("here")
        await move(ana, "local")
        await reach(ana, "moved")
        assert not (folder / "stray.txt").exists()
        assert len(list((tmp_path / "data" / "discarded").glob("*/stray.txt"))) == 1


@pytest.mark.usefixtures("mover")
class TestFailing:
    async def fails(self, ana: httpx.AsyncClient, folder: Path, pods: KeepingEngine, before: dict[str, Any]) -> Any:
        told = await reach(ana, "failed")
        assert (contents(folder), kept(pods, folder).exists()) == (before, False)
        assert (await ana.get(f"{W}/churn")).json()["engine"] is None
        last = (await ana.get(f"{W}/churn/activity")).json()["items"][0]
        assert (last["action"], last["detail"]["code"]) == ("workspace.move-failed", told["code"])
        return told

    async def test_a_digest_that_differs_takes_all_back(
        self, ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
    ) -> None:
        before, pods.spoils = contents(folder), "data.bin"
        await move(ana)
        told = await self.fails(ana, folder, pods, before)
        assert told["code"] == "move-digest-differs"
        assert "'data.bin'" in told["message"]

    async def test_without_room_nothing_is_copied(
        self, ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
    ) -> None:
        before, pods.free = contents(folder), 1 << 20
        await move(ana)
        told = await self.fails(ana, folder, pods, before)
        assert (told["code"], pods.written) == ("move-no-room", [])

    async def test_a_file_that_changes_meanwhile_takes_all_back(
        self, ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
    ) -> None:
        pods.may_write.clear()
        await move(ana)
        counted = (await reach(ana, "copying"))["state"]
        assert counted == "copying"

        async def is_counted() -> bool:
            return (await ana.get(f"{W}/churn/move")).json()["files_total"] is not None

        await eventually(is_counted, WITHIN)
        (folder / "data.bin").write_bytes(b"shorter")
        before = contents(folder)
        pods.may_write.set()
        told = await self.fails(ana, folder, pods, before)
        assert told["code"] == "move-file-changed"

    async def test_an_engine_that_is_away_is_waited_for_and_can_be_given_up(
        self, ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
    ) -> None:
        pods.behaviour.answers = False
        await move(ana)

        async def is_told() -> bool:
            return "does not answer" in ((await ana.get(f"{W}/churn/move")).json()["message"] or "")

        await eventually(is_told, WITHIN)
        await ana.delete(f"{W}/churn/move")
        assert (await ana.post(S, json={"workspace": "churn"}, params={"wait": 30})).json()["state"] == "running"
        pods.behaviour.answers = True
        await reach(ana, "cancelled")


# A control plane's mover that stands still before one file.
_MOVER = """
import asyncio, sys
from pathlib import Path
from studiolo.server.services import build
from studiolo.server.settings import Settings
from studiolo.testing.fake_engine import FakeEngine
from studiolo.testing.keeping_engine import KeepingEngine

async def main(data_dir, run_dir, folder):
    pods = KeepingEngine("pods", Path(folder))
    pods.holds_at = "run.sh"
    pods.may_write.clear()
    settings = Settings(data_dir=Path(data_dir), port=28888, run_dir=Path(run_dir))
    await build(settings, engines={"local": FakeEngine(), "pods": pods}).move_steps.runner.run()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_copying_whose_control_plane_was_killed_goes_on_where_it_was(
    ana: httpx.AsyncClient, services: Services, pods: KeepingEngine, folder: Path
) -> None:
    await move(ana)
    places = (services.settings.data_dir, services.settings.run_dir, pods.folder)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", _MOVER, *map(str, places))

    async def is_at_the_next() -> bool:
        assert killed.returncode is None
        return (kept(pods, folder) / "nothing").exists()

    try:
        await eventually(is_at_the_next, WITHIN)
    finally:
        killed.kill()
        await killed.wait()
    assert (await ana.get(f"{W}/churn/move")).json()["state"] == "copying"
    assert not (kept(pods, folder) / "run.sh").exists()
    async with running(services.move_steps.runner):
        await reach(ana, "moved")
    assert contents(kept(pods, folder)) == contents(folder)
    assert "run.sh" in pods.written
    assert "data.bin" not in pods.written


@pytest.mark.usefixtures("mover")
async def test_a_workspace_on_a_folder_of_the_machine_stays_on_it(admin: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    await admin.post(W, json={"name": "study", "root": str(tmp_path / "study")})
    refused = (await admin.post(f"{W}/study/move", json={"engine": "pods"})).json()
    assert refused["code"] == "engine-storage"
    assert "studiolo duplicate study" in refused["hint"]


@pytest.mark.usefixtures("mover", "folder")
async def test_an_administrator_releases_what_a_move_left(ana: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await move(ana)
    await reach(ana, "moved")
    assert (await admin.post(f"{W}/ana~churn/move/confirm")).status_code == 200
    assert (await reach(ana, "done"))["code"] is None


@pytest.mark.usefixtures("mover")
async def test_the_page_moves_a_workspace_says_how_it_goes_and_confirms(
    browser: Browser,
) -> None:
    made = await browser.post("/workspaces", name="churn")
    page = f"{made.headers['location'].partition('?')[0]}/move"
    assert "Its sessions run on local." in await browser.get(page)
    assert page in await browser.get(page.replace("/move", "/settings"))
    assert (await browser.post(page, engine="nowhere")).status_code == 422
    assert (await browser.post(page, engine="pods")).headers["location"] == page

    async def is_shown(words: str) -> bool:
        return words in await browser.get(page)

    await eventually(lambda: is_shown("Moved, not confirmed"), WITHIN)
    assert "What it left on local is kept" in await browser.get(page)
    assert (await browser.post(f"{page}/confirm")).status_code == 303
    await eventually(lambda: is_shown(">Engine</label>"), WITHIN)
    await browser.post(page, engine="batch")
    await eventually(lambda: is_shown("Take back"), WITHIN)
    await browser.post(f"{page}/cancel")
    await eventually(lambda: is_shown("Taken back</span>"), WITHIN)


@pytest.mark.req("S0-80")
@pytest.mark.usefixtures("mover")
async def test_an_engine_lets_go_of_the_files_of_an_erased_workspace(
    ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
) -> None:
    await move(ana)
    await reach(ana, "moved")
    assert kept(pods, folder).exists()
    await ana.delete(f"{W}/churn")
    trashed = (await ana.get("/api/v1/jupyter/trash")).json()["items"][0]["id"]
    assert kept(pods, folder).exists()
    erased = await ana.delete(f"/api/v1/jupyter/trash/{trashed}", params={"confirm": "churn"})
    assert erased.status_code == 204, erased.text

    async def is_gone() -> bool:
        return not kept(pods, folder).exists()

    await eventually(is_gone, WITHIN)
    assert not folder.exists()


@pytest.mark.usefixtures("mover")
class TestFilesElsewhere:
    async def test_files_that_an_engine_keeps_are_refused_with_the_engines_name(
        self, ana: httpx.AsyncClient, pods: KeepingEngine, folder: Path
    ) -> None:
        await move(ana)
        await reach(ana, "moved")
        asked = [
            await ana.get(f"{W}/churn/files"),
            await ana.post(f"{W}/churn/files/folders", json={"path": "new"}),
            await ana.get(f"{W}/churn/archive"),
            await ana.post(f"{W}/churn/duplicate", json={"name": "copy"}),
        ]
        for reply in asked:
            told = reply.json()
            assert (reply.status_code, told["code"], told["engine"]) == (409, "files-elsewhere", "pods"), reply.text
            assert "studiolo move churn" in told["hint"]
        assert not (folder / "new").exists()

    async def test_the_page_of_files_says_where_they_are(self, browser: Browser) -> None:
        made = await browser.post("/workspaces", name="far")
        there = made.headers["location"].partition("?")[0]

        async def has_moved() -> bool:
            return "Moved, not confirmed" in await browser.get(f"{there}/move")

        await browser.post(f"{there}/move", engine="pods")
        await eventually(has_moved, WITHIN)
        page = await browser.client.get(f"{there}/files")
        assert page.status_code == 409
        assert "kept by the engine pods" in page.text
