"""The disk: watched, told of before it is full, released by administrators; and sign-in works when it is full."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from server.conftest import People
from studiolo.kit import quotas
from studiolo.kit.ballast import BALLAST_BYTES, Ballast
from studiolo.kit.clock import ManualClock
from studiolo.runtime.acting import LOWEST
from studiolo.server.app import create_app
from studiolo.server.principal import OPERATOR
from studiolo.server.services import Services, build
from studiolo.server.settings import Settings
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
TRASH = "/api/v1/jupyter/trash"


@pytest.fixture
def nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk of 100 GiB with 9 left."""
    amounts = SimpleNamespace(total=100 << 30, used=91 << 30, free=9 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: amounts)


async def test_administrators_see_what_fills_the_disk_and_the_largest_workspaces(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    made = (await ana.post(W, json={"name": "churn"})).json()
    await ana.post(W, json={"name": "small"})
    (services.settings.data_dir / "workspaces" / made["id"] / "big.bin").write_bytes(b"x" * 300_000)
    assert await services.disk.measure_some() == 2
    assert await services.disk.measure_some() == 0
    clock.advance(timedelta(hours=2))
    assert await services.disk.measure_some() == 2
    usage = (await admin.get("/api/v1/admin/disk")).json()
    assert [one["workspace"]["name"] for one in usage["largest"]] == ["churn", "small"]
    sizes = {part["name"]: part["size"] for part in usage["parts"]}
    assert sizes["workspaces"] >= 300_000
    assert usage["total"] > usage["free"] > 0
    assert (await ana.get("/api/v1/admin/disk")).json()["code"] == "denied"


@pytest.mark.skipif(os.geteuid() != 0, reason="accounts take root")
async def test_workspaces_with_an_account_are_held_to_their_disk_size_where_the_file_system_can(
    ana: httpx.AsyncClient,
    admin: httpx.AsyncClient,
    services: Services,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_limits: list[tuple[int, int]] = []
    monkeypatch.setattr(quotas, "is_enforced", lambda folder: True)
    monkeypatch.setattr(quotas, "mark", lambda folder, number: None)
    monkeypatch.setattr(quotas, "used", lambda folder, number: 12_345)
    monkeypatch.setattr(quotas, "limit", lambda folder, number, most: set_limits.append((number, most)))
    for name in ("churn", "open"):
        await ana.post(W, json={"name": name})
    await ana.post(f"{W}/churn/scale", json={"resources": {"disk": 5 << 30}})
    folder = services.folders.of((await ana.get(f"{W}/churn")).json()["id"], None)
    os.chown(folder, LOWEST + 7, LOWEST + 7)
    assert await services.disk.measure_some() == 2
    assert set_limits == [(LOWEST + 7, 5 << 30)]
    limits = (await ana.get(f"{W}/churn/limits")).json()
    assert limits["disk_held"] is True
    assert (await ana.get(f"{W}/open/limits")).json()["disk_held"] is False
    largest = (await admin.get("/api/v1/admin/disk")).json()["largest"]
    assert {one["workspace"]["name"]: one["size"] for one in largest}["churn"] == 12_345
    # What was changed is looked at anew, and what was set before is not set again.
    clock.advance(timedelta(seconds=1))
    await ana.patch(f"{W}/churn", json={"description": "of customers"})
    assert await services.disk.measure_some() == 1
    assert len(set_limits) == 1


async def test_releasing_space_takes_caches_and_never_files_of_people(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, services: Services
) -> None:
    made = (await ana.post(W, json={"name": "churn"})).json()
    data = services.settings.data_dir
    (file := data / "workspaces" / made["id"] / "keep.txt").write_text("mine")
    (cache := data / "people" / "p-1" / made["id"] / "cache" / "pip").mkdir(parents=True)
    (cache / "wheel").write_bytes(b"x" * 100_000)
    (previews := data / "cache" / "previews").mkdir(parents=True)
    (previews / "one.html").write_text("<p>")
    (log := data / "logs" / "control-plane.log.1").parent.mkdir(exist_ok=True)
    log.write_text("old")
    outside = data.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (cache / "link").symlink_to(outside)
    freed = (await admin.post("/api/v1/admin/disk/free")).json()["freed"]
    assert freed["caches"] >= 100_000
    assert (cache.exists(), (previews / "one.html").exists(), log.exists()) == (False, False, False)
    assert previews.exists()
    assert (file.read_text(), (outside / "precious").read_text()) == ("mine", "x")
    events = (await admin.get("/api/v1/audit")).json()["items"]
    assert (events[0]["action"], events[0]["actor"]["name"] if "actor" in events[0] else "boss") == (
        "disk.free",
        "boss",
    )


async def test_files_of_the_package_index_go_when_they_are_named_and_what_it_remembers_stays(
    admin: httpx.AsyncClient, services: Services
) -> None:
    packages = services.settings.packages_dir
    (packages / "blobs").mkdir(parents=True)
    (blob := packages / "blobs" / ("a" * 64)).write_bytes(b"x" * 10_000)
    (memory := packages / "index.db").write_bytes(b"digests")
    await admin.post("/api/v1/admin/disk/free")
    assert blob.exists()
    freed = (await admin.post("/api/v1/admin/disk/free", json={"what": ["packages"]})).json()["freed"]
    assert (freed["packages"] >= 10_000, blob.exists(), memory.exists()) == (True, False, True)


async def test_the_trash_goes_only_when_it_is_named(ana: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "old"})
    await ana.delete(f"{W}/old")
    await admin.post("/api/v1/admin/disk/free")
    assert [one["name"] for one in (await ana.get(TRASH)).json()["items"]] == ["old"]
    assert (await admin.post("/api/v1/admin/disk/free", json={"what": ["trash"]})).status_code == 200
    assert (await ana.get(TRASH)).json()["items"] == []
    assert (await admin.post("/api/v1/admin/disk/free", json={"what": ["workspaces"]})).status_code == 422


async def test_what_the_file_system_keeps_for_itself_is_no_room_of_anybodys(
    admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = SimpleNamespace(total=100 << 30, used=80 << 30, free=9 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: kept)
    usage = (await admin.get("/api/v1/admin/disk")).json()
    health = (await admin.get("/api/v1/admin/health")).json()
    assert (usage["total"], usage["is_nearly_full"]) == (89 << 30, False)
    assert (health["disk_total"], [part["ok"] for part in health["parts"] if part["name"] == "disk"]) == (
        89 << 30,
        [True],
    )


@pytest.mark.usefixtures("nearly_full")
async def test_a_disk_that_is_nearly_full_is_announced(admin: httpx.AsyncClient, services: Services) -> None:
    told: list[str] = []
    services.disk.watch.on_change = lambda: told.append("changed")
    await services.disk.watch.look()
    await services.disk.watch.look()
    assert told == ["changed"]
    health = (await admin.get("/api/v1/admin/health")).json()
    assert (health["ok"], "nearly" in health["verdict"] or "9 GiB of 100 GiB are free" in health["verdict"]) == (
        False,
        True,
    )
    (notice,) = await services.disk.watch.notices(None)
    assert "91 of 100 GiB" in notice.text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path) -> None:
    """Write until there is no space left."""
    with contextlib.suppress(OSError), (disk / "hog").open("wb", buffering=0) as hog:
        while True:
            hog.write(b"x" * (1 << 20))
    assert shutil.disk_usage(disk).free < 1 << 20


def test_what_was_kept_back_is_there_when_the_disk_is_full(small_disk: Path) -> None:
    ballast = Ballast(small_disk / "ballast")
    assert ballast.take_in()
    assert ballast.take_in()
    fill(small_disk)
    assert ballast.give_up()
    (small_disk / "written").write_bytes(b"x" * (BALLAST_BYTES // 2))
    assert not Ballast(small_disk / "ballast").take_in()
    assert not ballast.give_up()


async def test_people_sign_in_while_the_disk_is_full(small_disk: Path, people: People, services: Services) -> None:
    await people.add("ana")
    await services.accounts.set_password(OPERATOR, "ana", "a long enough password")
    # The database of these services moves to the small disk by being copied there: a new platform on it.
    shutil.copytree(services.settings.data_dir, small_disk / "data")
    settings = Settings(data_dir=small_disk / "data", port=28888, run_dir=services.settings.run_dir)
    small = build(settings, engines={"local": FakeEngine()})
    await small.disk.watch.look()
    fill(small_disk)
    await small.disk.watch.look()
    transport = httpx.ASGITransport(create_app(small))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:28888") as http:
        body = {"name": "ana", "password": "a long enough password", "key_name": "test"}
        assert (await http.post("/api/v1/sign-in", json=body)).status_code in (200, 201)
    await small.db.close()
