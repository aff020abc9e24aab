"""Backups as administrators ask for them, and when one is made by itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from server.conftest import eventually
from studiolo.server.backup.backup import make_backup
from studiolo.server.backup.schedule import is_due, is_late
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.settings.backup import BackupSettings

B = "/api/v1/admin/backups"
WITHIN = timedelta(seconds=60)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    backup = BackupSettings(folder=tmp_path / "to", keep=2)
    return Settings(data_dir=tmp_path / "data", port=28888, run_dir=tmp_path / "run", backup=backup)


async def test_an_administrator_has_a_backup_made_and_finds_it(
    admin: httpx.AsyncClient, services: Services, settings: Settings
) -> None:
    for _ in range(2):
        make_backup(settings, settings.backup.folder or Path())
    begun = await admin.post(B)
    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    again = await admin.post(B)
    assert (again.status_code, again.json()["code"]) == (409, "backup-running")

    async def is_made() -> bool:
        return bool((await admin.get(B)).json()["current"]["state"] != "running")

    await eventually(is_made, WITHIN)
    found = (await admin.get(B)).json()
    assert found["current"]["state"] == "done", found
    assert (len(found["items"]), found["items"][0]["people"]) == (2, 1)
    assert "Last good" in (await services.backups.health()).message
    actions = [event["action"] for event in (await admin.get("/api/v1/audit")).json()["items"]]
    assert actions.count("backup.create") == 1


async def test_a_cancelled_backup_leaves_nothing(admin: httpx.AsyncClient, settings: Settings) -> None:
    await admin.post(B)
    assert (await admin.delete(f"{B}/current")).status_code == 204
    assert (await admin.get(B)).json()["current"]["state"] == "cancelled"
    assert settings.backup.folder is not None
    assert list(settings.backup.folder.glob("studiolo-*")) == []
    assert (await admin.delete(f"{B}/current")).json()["code"] == "backup-not-found"


async def test_nobody_else_learns_of_backups(ana: httpx.AsyncClient) -> None:
    assert (await ana.get(B)).status_code == 403
    assert (await ana.post(B)).status_code == 403


NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_nightly_backup_is_due_once_a_day_and_made_up_for() -> None:
    def due(now: datetime, last_good: datetime | None, last_try: datetime | None = None) -> bool:
        return is_due(now, "03:10", last_good=last_good, last_try=last_try)

    night = NOON.replace(hour=3, minute=10)
    assert due(NOON, None)
    assert due(night, night - timedelta(days=1, minutes=-5))
    assert not due(night - timedelta(minutes=1), night - timedelta(hours=23))
    assert not due(NOON, night + timedelta(minutes=2))
    assert not due(NOON, None, NOON - timedelta(minutes=30))
    assert due(NOON, None, NOON - timedelta(hours=2))
    assert not is_due(NOON, "", last_good=None, last_try=None)


def test_a_nightly_backup_that_is_missing_for_long_is_late() -> None:
    assert is_late(NOON, "03:10", last_good=NOON - timedelta(days=2))
    assert not is_late(NOON, "03:10", last_good=NOON - timedelta(hours=30))
    assert not is_late(NOON, "", last_good=NOON - timedelta(days=20))
