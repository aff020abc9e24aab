"""Deleted workspaces come back, or go for good."""

import os
import threading
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services
from studiolo.testing.waiting import eventually

W = "/api/v1/jupyter/workspaces"
TRASH = "/api/v1/jupyter/trash"


async def deleted(client: httpx.AsyncClient, name: str = "churn") -> dict[str, str]:
    made = (await client.post(W, json={"name": name})).json()
    (Path(made["path"]) / "kept.txt").write_text("kept")
    assert (await client.delete(f"{W}/{name}")).status_code == 204
    return dict(made)


async def test_a_deleted_workspace_is_listed_with_its_end(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = await deleted(ana)
    item = (await ana.get(TRASH)).json()["items"][0]
    assert (item["id"], item["name"], item["owner"]["name"]) == (made["id"], "churn", "ana")
    assert item["erased_after"] > item["deleted_at"]
    assert (await leo.get(TRASH)).json()["items"] == []


async def test_the_trash_is_paged(ana: httpx.AsyncClient) -> None:
    for name in ("one", "two", "three"):
        await deleted(ana, name)
    first = (await ana.get(TRASH, params={"limit": 2})).json()
    rest = (await ana.get(TRASH, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == ["one", "three", "two"]
    assert rest["next_cursor"] is None


async def test_a_restored_workspace_has_its_files_and_members(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = (await ana.post(W, json={"name": "churn"})).json()
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    (Path(made["path"]) / "kept.txt").write_text("kept")
    await ana.delete(f"{W}/churn")
    assert (await leo.post(f"{TRASH}/{made['id']}/restore")).json()["code"] == "trash-not-found"
    back = await ana.post(f"{TRASH}/{made['id']}/restore")
    assert (back.status_code, back.json()["member_count"]) == (200, 2)
    assert (Path(back.json()["path"]) / "kept.txt").read_text() == "kept"
    assert (await leo.get(f"{W}/{made['id']}")).status_code == 200
    assert (await ana.get(TRASH)).json()["items"] == []


async def test_a_name_taken_meanwhile_is_said(ana: httpx.AsyncClient) -> None:
    made = await deleted(ana)
    await ana.post(W, json={"name": "churn"})
    reply = await ana.post(f"{TRASH}/{made['id']}/restore")
    assert (reply.status_code, reply.json()["code"]) == (409, "workspace-exists")
    assert "in use again" in reply.json()["detail"]
    assert len((await ana.get(TRASH)).json()["items"]) == 1


async def test_erasing_needs_the_name_and_takes_the_files(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = await deleted(ana)
    assert (await ana.delete(f"{TRASH}/{made['id']}")).json()["code"] == "confirmation-needed"
    assert (await leo.delete(f"{TRASH}/{made['id']}", params={"confirm": "churn"})).status_code == 404
    assert (await ana.delete(f"{TRASH}/{made['id']}", params={"confirm": "churn"})).status_code == 204
    assert not Path(made["path"]).exists()
    assert (await ana.post(f"{TRASH}/{made['id']}/restore")).json()["code"] == "trash-not-found"


async def test_nobody_waits_for_a_removal_that_takes_long(
    ana: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await deleted(ana)
    disk = threading.Event()
    monkeypatch.setattr(services.trash, "_remove_environment", lambda folder: disk.wait(60))
    monkeypatch.setattr("studiolo.server.workspaces.trash._REMOVAL_SECONDS", 0)
    assert (await ana.delete(f"{TRASH}/{made['id']}", params={"confirm": "churn"})).status_code == 204
    assert (await ana.get(TRASH)).json()["items"] == []
    disk.set()
    await eventually(lambda: not Path(made["path"]).exists(), "the files are gone")


async def test_what_a_kill_left_of_an_erasure_is_removed(ana: httpx.AsyncClient, services: Services) -> None:
    made = await deleted(ana)
    await ana.delete(f"{TRASH}/{made['id']}", params={"confirm": "churn"})
    left = Path(made["path"]) / "notebooks"
    left.mkdir(parents=True)
    stranger = Path(made["path"]).with_name("w-0123456789abcdef")
    stranger.mkdir()
    await services.trash.empty()
    assert not left.exists()
    # Without a record of it nothing is known, and nothing is deleted.
    assert stranger.exists()


async def test_what_a_killed_copy_left_is_removed_after_a_day(ana: httpx.AsyncClient, services: Services) -> None:
    made = (await ana.post(W, json={"name": "churn"})).json()
    old, young = (Path(made["path"]).with_name(f".w-{digit * 16}.part") for digit in "01")
    for part in (old, young):
        (part / "notebooks").mkdir(parents=True)
    os.utime(old, (0, 0))
    await services.trash.empty()
    assert not old.exists()
    assert young.exists()


async def test_a_workspace_restored_in_time_is_not_emptied(
    ana: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    made = await deleted(ana)
    await ana.post(f"{TRASH}/{made['id']}/restore")
    clock.advance(timedelta(days=31))
    await services.trash.empty()
    assert (Path(made["path"]) / "kept.txt").exists()
