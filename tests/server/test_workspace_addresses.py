"""Rename, transfer and copies: where a workspace is found, and whose it is."""

import os
from pathlib import Path

import httpx
import pytest

W = "/api/v1/jupyter/workspaces"


async def create(client: httpx.AsyncClient, name: str = "churn") -> dict[str, str]:
    return dict((await client.post(W, json={"name": name})).json())


@pytest.mark.parametrize("old", ["churn", "ana~churn", "ana%2Fchurn"])
async def test_a_former_name_redirects_to_the_present_one(ana: httpx.AsyncClient, old: str) -> None:
    made = await create(ana)
    await ana.patch(f"{W}/churn", json={"name": "second"})
    await ana.patch(f"{W}/second", json={"name": "third"})
    reply = await ana.get(f"{W}/{old}")
    assert (reply.status_code, reply.headers["location"]) == (308, f"{W}/ana~third")
    assert (await ana.get(f"{W}/second", follow_redirects=True)).json()["id"] == made["id"]
    # Changes by an old name reach it too.
    assert (await ana.patch(f"{W}/{old}", json={"description": "x"})).json()["name"] == "third"


async def test_a_name_taken_again_wins_for_good(ana: httpx.AsyncClient) -> None:
    await create(ana)
    await ana.patch(f"{W}/churn", json={"name": "older"})
    newer = await create(ana)
    assert (await ana.get(f"{W}/churn")).json()["id"] == newer["id"]
    await ana.delete(f"{W}/churn")
    # The old address does not jump back to the first.
    assert (await ana.get(f"{W}/churn")).status_code == 404


async def test_a_rename_back_and_a_rename_onto_another(ana: httpx.AsyncClient) -> None:
    made = await create(ana)
    await ana.patch(f"{W}/churn", json={"name": "other"})
    await ana.patch(f"{W}/other", json={"name": "churn"})
    assert (await ana.get(f"{W}/churn")).json()["id"] == made["id"]
    await create(ana, "taken")
    reply = await ana.patch(f"{W}/churn", json={"name": "taken"})
    assert (reply.status_code, reply.json()["code"]) == (409, "workspace-exists")
    assert (await ana.get(f"{W}/churn")).status_code == 200


async def test_former_names_tell_strangers_nothing(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    await create(ana)
    await ana.patch(f"{W}/churn", json={"name": "other"})
    assert (await leo.get(f"{W}/ana~churn")).status_code == 404


async def test_transfer_hands_over_and_the_old_address_leads_on(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = await create(ana)
    await create(ana, "second")
    assert (await ana.post(f"{W}/churn/transfer", json={"person": "leo"})).json()["code"] == "member-not-found"
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    moved = await ana.post(f"{W}/churn/transfer", json={"person": "leo@example.com"})
    assert (moved.json()["owner"]["name"], moved.json()["role"]) == ("leo", "editor")
    assert (await ana.get(f"{W}/ana~churn")).headers["location"] == f"{W}/leo~churn"
    assert (await leo.patch(f"{W}/churn", json={"description": "mine"})).json()["id"] == made["id"]
    assert (await ana.patch(f"{W}/churn", json={"description": "no"})).status_code == 403
    assert (await leo.get(f"{W}/churn/activity")).json()["items"][1]["action"] == "workspace.transfer"


async def test_transfer_to_somebody_who_has_the_name_is_refused(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    await create(ana)
    await create(leo)
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    reply = await ana.post(f"{W}/ana~churn/transfer", json={"person": "leo"})
    assert (reply.status_code, reply.json()["code"]) == (409, "workspace-exists")
    assert (await ana.get(f"{W}/ana~churn")).json()["role"] == "owner"


async def test_a_copy_has_the_files_and_the_configuration_and_shares_neither(ana: httpx.AsyncClient) -> None:
    made = (await ana.post(W, json={"name": "churn", "profile": "large", "description": "d"})).json()
    files = Path(made["path"])
    (files / "data").mkdir()
    (files / "data" / "a.txt").write_text("original")
    (files / "data" / "b.txt").hardlink_to(files / "data" / "a.txt")
    (files / "run.sh").write_text("#!/bin/sh\n")
    (files / "run.sh").chmod(0o750)
    (files / "outside").symlink_to("/etc/hostname")
    os.mkfifo(files / "pipe")
    copy = (await ana.post(f"{W}/churn/duplicate", json={"name": "churn-copy"})).json()
    copied = Path(copy["path"])
    assert (copy["profile"], copy["description"], copy["owner"]["name"]) == ("large", "d", "ana")
    (copied / "data" / "a.txt").write_text("changed")
    assert (files / "data" / "a.txt").read_text() == "original"
    assert (copied / "data" / "b.txt").read_text() == "original"
    assert (copied / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (copied / "outside").readlink() == Path("/etc/hostname")
    assert not (copied / "pipe").exists()
    assert [entry.name for entry in copied.parent.iterdir() if entry.name.startswith(".")] == []


async def test_holes_of_sparse_files_stay_holes_in_a_copy(ana: httpx.AsyncClient) -> None:
    made = await create(ana)
    with (Path(made["path"]) / "sparse").open("wb") as file:
        file.seek(1024**3)
        file.write(b"in the middle")
        file.truncate(2 * 1024**3)
    copy = (await ana.post(f"{W}/churn/duplicate", json={"name": "churn-copy"})).json()
    copied = Path(copy["path"]) / "sparse"
    assert copied.stat().st_size == 2 * 1024**3
    assert copied.stat().st_blocks * 512 < 1024**2
    with copied.open("rb") as file:
        file.seek(1024**3)
        assert file.read(14) == b"in the middle\0"


async def test_editors_copy_and_own_their_copy(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    await create(ana)
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    assert (await leo.post(f"{W}/churn/duplicate", json={"name": "mine"})).status_code == 403
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    copy = (await leo.post(f"{W}/churn/duplicate", json={"name": "mine"})).json()
    assert (copy["owner"]["name"], copy["member_count"]) == ("leo", 1)
    again = await leo.post(f"{W}/churn/duplicate", json={"name": "mine"})
    assert (again.status_code, again.json()["code"]) == (409, "workspace-exists")
