"""Metadata, export, figures, report, reset and caches of a workspace."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from server.conftest import eventually
from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"


async def ready(client: httpx.AsyncClient, **form: object) -> dict[str, object]:
    await client.post(W, json={"name": "churn"} | form)

    async def is_ready() -> bool:
        return bool((await client.get(f"{W}/churn")).json()["environment"]["state"] == "ready")

    await eventually(is_ready)
    return dict((await client.get(f"{W}/churn")).json())


@pytest.fixture
def clock() -> ManualClock:
    """Two hours behind: the scripted engine tells ends by the machine's own clock."""
    return ManualClock(datetime.now(UTC) - timedelta(hours=2))


async def used(client: httpx.AsyncClient) -> None:
    """Run a session for two hours."""
    session = (await client.post(S, json={"workspace": "churn"}, params={"wait": 10})).json()
    await client.post(f"{S}/{session['id']}/stop", params={"wait": 10})


@pytest.mark.req("S0-40")
@pytest.mark.req("S0-41")
@pytest.mark.req("S0-42")
@pytest.mark.req("S0-43")
async def test_metadata_tells_dates_use_and_packages(ana: httpx.AsyncClient) -> None:
    made = await ready(ana, environment={"TEAM": "red"})
    site = Path(made["environment"]["python"]).parents[1] / "lib" / "python3.11" / "site-packages"  # type: ignore[index]
    (site / "my_tool-1.2.3.dist-info").mkdir(parents=True)
    (site / "my_tool-1.2.3.dist-info" / "RECORD").write_text("")
    await used(ana)
    about = (await ana.get(f"{W}/churn/metadata")).json()
    assert about["created_at"] <= about["modified_at"]
    assert (about["sessions"], round(about["usage"]["session_hours"], 1), about["experiments"]) == (1, 2.0, [])
    assert about["config"]["environment"]["variables"] == {"TEAM": "red"}
    package = about["packages"][0]
    assert (package["name"], package["version"], package["base"]) == ("my-tool", "1.2.3", False)
    assert package["installed_at"] is not None
    assert about["executions"] == []


@pytest.mark.req("S0-46")
async def test_the_export_is_a_file_of_either_format(ana: httpx.AsyncClient) -> None:
    await ready(ana, profile="small")
    reply = await ana.get(f"{W}/churn/export", params={"format": "json"})
    assert reply.headers["content-disposition"] == 'attachment; filename="churn.json"'
    of_json = json.loads(reply.text)
    of_yaml = yaml.safe_load((await ana.get(f"{W}/churn/export", params={"format": "yaml"})).text)
    assert of_json["format"] == "studiolo-workspace/1"
    assert of_json["config_file"] == "profile: small\n"
    assert of_json["members"][0]["person"]["name"] == "ana"
    assert of_yaml["metadata"]["id"] == of_json["metadata"]["id"]
    assert (await ana.get(f"{W}/churn/export", params={"format": "xml"})).status_code == 422


@pytest.mark.req("S0-116")
async def test_stats_tell_what_runs_and_what_was_used(ana: httpx.AsyncClient) -> None:
    await ready(ana)
    await used(ana)
    await ana.post(S, json={"workspace": "churn"}, params={"wait": 10})
    stats = (await ana.get(f"{W}/churn/stats")).json()
    assert (stats["running_sessions"], round(stats["session_hours"], 1), stats["launches"]) == (1, 2.0, 2)
    assert stats["disk"] > 0


@pytest.mark.req("S0-118")
async def test_the_report_is_one_document_in_which_nothing_runs(ana: httpx.AsyncClient) -> None:
    await ready(ana, description="<script>alert(1)</script>")
    reply = await ana.get(f"{W}/churn/report")
    assert reply.headers["content-type"].startswith("text/html")
    assert "sandbox" in reply.headers["content-security-policy"]
    assert "&lt;script&gt;" in reply.text
    assert not any(word in reply.text for word in ("<script", "src=", "href=", "http:"))


async def test_records_are_for_members(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = await ready(ana)
    for what in ("metadata", "export", "stats", "report", "config", "limits"):
        assert (await leo.get(f"{W}/{made['id']}/{what}")).status_code == 404


@pytest.mark.req("S0-124")
async def test_a_hard_reset_ends_sessions_and_renews_the_environment_but_keeps_files(
    ana: httpx.AsyncClient, services: Services
) -> None:
    made = await ready(ana)
    environment, files = Path(made["environment"]["python"]).parents[1], Path(str(made["path"]))  # type: ignore[index]
    (environment / "broken.pth").write_text("x")
    (files / "kept.txt").write_text("kept")
    session = (await ana.post(S, json={"workspace": "churn"}, params={"wait": 10})).json()
    soft = await ana.post(f"{W}/churn/reset", json={})
    assert (soft.status_code, soft.json()["code"]) == (409, "workspace-busy")
    assert (await ana.post(f"{W}/churn/reset", json={"hard": True})).status_code == 200

    async def is_renewed() -> bool:
        now = (await ana.get(f"{W}/churn")).json()
        return bool(now["environment"]["state"] == "ready" and now["running_sessions"] == 0)

    await eventually(is_renewed)
    assert not (environment / "broken.pth").exists()
    assert (files / "kept.txt").exists()
    ended = (await ana.get(f"{S}/{session['id']}")).json()
    assert ended["reason"]["message"] == "Stopped because ana reset the workspace."


async def test_files_go_only_with_the_name_and_are_kept_a_while(
    ana: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    files = Path(str((await ready(ana))["path"]))
    (files / "data.csv").write_text("1")
    refused = await ana.post(f"{W}/churn/reset", json={"delete_files": True})
    assert (refused.status_code, refused.json()["code"]) == (422, "confirmation-needed")
    assert (files / "data.csv").exists()
    await ana.post(f"{W}/churn/reset", json={"delete_files": True, "confirm": "churn"})
    assert sorted(path.name for path in files.rglob("*")) == ["notebooks", "welcome.ipynb"]
    discarded = services.settings.data_dir / "discarded"
    assert len(list(discarded.glob("*/data.csv"))) == 1
    clock.advance(timedelta(days=31))
    await services.trash.empty()
    assert list(discarded.iterdir()) == []


@pytest.mark.req("S0-121")
async def test_clear_cache_takes_caches_and_no_files(ana: httpx.AsyncClient, services: Services) -> None:
    made = await ready(ana)
    owner = made["owner"]["id"]  # type: ignore[index]
    person = services.settings.data_dir / "people" / owner / str(made["id"])
    (person / "cache" / "pip").mkdir(parents=True)
    (person / "cache" / "pip" / "wheel").write_bytes(b"x" * 100_000)
    (person / "config").mkdir()
    (Path(str(made["path"])) / ".cache").mkdir()
    reply = (await ana.post(f"{W}/churn/clear-cache")).json()
    assert reply["freed"] >= 100_000
    assert not (person / "cache").exists()
    assert (person / "config").exists()
    assert (Path(str(made["path"])) / ".cache").exists()
