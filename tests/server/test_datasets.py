"""Datasets are registered by administrators, and sessions of those who may read them find them under their names."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from studiolo.server.datasets.places import Places, Readable
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine

D = "/api/v1/datasets"
W = "/api/v1/jupyter/workspaces"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def billing(tmp_path: Path) -> Path:
    folder = tmp_path / "srv" / "billing"
    folder.mkdir(parents=True)
    (folder / "2026.csv").write_text("1,2\n")
    return folder


async def register(admin: httpx.AsyncClient, name: str, folder: Path, **readers: Any) -> httpx.Response:
    return await admin.post(D, json={"name": name, "folder": str(folder), **readers})


async def launched(client: httpx.AsyncClient, engine: FakeEngine, workspace: str = "churn") -> Path:
    """Launch a session and return where its variable leads."""
    session = (await client.post(f"{W}/{workspace}/sessions", params={"wait": 30})).json()
    assert session["state"] == "running", session
    return Path(engine.workloads[(session["id"], 1)].spec.variables["STUDIOLO_DATASETS"])


@pytest.mark.req("S2-34", "S2-35")
async def test_sessions_find_what_their_person_may_read(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, leo: httpx.AsyncClient, engine: FakeEngine, billing: Path
) -> None:
    assert (await register(admin, "billing", billing, everybody=True)).status_code == 201
    assert (await register(admin, "salaries", billing, people=["leo"])).status_code == 201
    folder = Path((await ana.post(W, json={"name": "churn"})).json()["path"])
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    of_ana, of_leo = await launched(ana, engine), await launched(leo, engine, "ana~churn")
    assert (of_ana / "billing" / "2026.csv").read_text() == "1,2\n"
    assert names(of_ana) == ["billing"]
    assert names(of_leo) == ["billing", "salaries"]
    # Beside the notebooks, which all of its people see, lies what all of its sessions may read.
    assert (folder / "datasets").is_symlink()
    assert names(folder / "datasets") == ["billing"]


async def test_a_change_of_readers_reaches_running_sessions(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, engine: FakeEngine, billing: Path
) -> None:
    await ana.post(W, json={"name": "churn"})
    await register(admin, "billing", billing, people=["ana"])
    place = await launched(ana, engine)
    assert names(place) == ["billing"]
    assert (await admin.patch(f"{D}/billing", json={"people": []})).json()["everybody"] is False
    assert names(place) == []
    await admin.patch(f"{D}/billing", json={"workspaces": ["ana/churn"]})
    assert names(place) == ["billing"]
    assert (await admin.delete(f"{D}/billing")).status_code == 204
    assert names(place) == []
    assert (billing / "2026.csv").exists()


async def test_people_see_what_they_may_read_and_not_where_it_lies(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, leo: httpx.AsyncClient, billing: Path
) -> None:
    await ana.post(W, json={"name": "churn"})
    await register(admin, "for-churn", billing, workspaces=["ana/churn"])
    await register(admin, "for-leo", billing, people=["leo"])
    (seen,) = (await ana.get(D)).json()["items"]
    assert (seen["name"], seen["folder"], seen["people"]) == ("for-churn", None, None)
    assert [one["name"] for one in (await leo.get(D, params={"all": True})).json()["items"]] == ["for-leo"]
    found = (await admin.get(D, params={"all": True})).json()["items"]
    assert [(one["name"], one["folder"]) for one in found] == [("for-churn", str(billing)), ("for-leo", str(billing))]
    assert (await ana.delete(f"{D}/for-churn")).status_code == 403
    actions = [event["action"] for event in (await admin.get("/api/v1/audit")).json()["items"]]
    assert actions.count("dataset.create") == 2


async def test_what_cannot_be_a_dataset_is_refused(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, services: Services, billing: Path
) -> None:
    async def code(name: str, folder: Path | str, **readers: Any) -> str:
        return str((await register(admin, name, Path(folder), **readers)).json().get("code"))

    assert await code("billing", billing / "missing", everybody=True) == "folder-not-found"
    assert await code("billing", billing / "2026.csv", everybody=True) == "folder-not-found"
    assert await code("billing", "/etc", everybody=True) == "folder-not-allowed"
    assert await code("keys", services.settings.data_dir / "secrets", everybody=True) == "folder-not-allowed"
    assert await code("../out", billing, everybody=True) == "name-invalid"
    assert await code("billing", billing) == "request-invalid"
    assert await code("billing", billing, people=["nobody"]) == "person-not-found"
    assert (await register(admin, "billing", billing, everybody=True)).status_code == 201
    assert await code("billing", billing, everybody=True) == "dataset-exists"
    assert (await admin.patch(f"{D}/none", json={})).json()["code"] == "dataset-not-found"


def test_what_somebody_put_there_stays(tmp_path: Path) -> None:
    files = tmp_path / "files"
    (files / "datasets").mkdir(parents=True)
    one = Readable("one", "/srv/one", True, frozenset(), frozenset())
    places = Places(tmp_path)
    places.lay([one], "w-7k2m9q4x0c5t8v1b", "p-1", files)
    assert not (files / "datasets").is_symlink()
    assert (places.of_person("w-7k2m9q4x0c5t8v1b", "p-1") / "one").is_symlink()


def test_a_copied_workspace_gets_a_link_of_its_own_and_loses_it(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "datasets").symlink_to("/another/datasets/w-0000000000000000")
    one = Readable("one", "/srv/one", True, frozenset(), frozenset())
    places = Places(tmp_path)
    places.lay([one], "w-7k2m9q4x0c5t8v1b", "p-1", files)
    assert (files / "datasets").readlink() == places.of_workspace("w-7k2m9q4x0c5t8v1b")
    places.lay([], "w-7k2m9q4x0c5t8v1b", "p-1", files)
    assert not (files / "datasets").is_symlink()
