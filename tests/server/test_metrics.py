"""What a monitoring system reads, and who may read it."""

import json
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.conftest import People
from studiolo.contract.models import KeyCreate
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def read(client: httpx.AsyncClient) -> Values:
    reply = await client.get("/metrics")
    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (200, "text/plain")
    families = text_string_to_metric_families(reply.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


async def test_metrics_count_what_is_there_and_what_happens(ana: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "churn-of-secret-clients"})
    await ana.post(S, json={"workspace": "churn-of-secret-clients"}, params={"wait": 5})
    values = await read(admin)
    assert values["studiolo_workspaces", ()] == 1
    assert values["studiolo_sessions", (("state", "running"),)] == 1
    assert values["studiolo_session_start_seconds_count", ()] == 1
    assert values["studiolo_audit_events_total", (("action", "session.launch"),)] == 1
    assert values["studiolo_engine_up", (("engine", "local"),)] == 1
    assert values["studiolo_disk_free_bytes", ()] > 0
    counted = [(name, labels) for name, labels in values if name == "studiolo_http_request_duration_seconds_count"]
    assert (("handler", "launch"), ("method", "POST"), ("status", "201")) in [labels for _, labels in counted]
    # Nobody learns from labels what others have.
    assert "churn" not in (await admin.get("/metrics")).text


async def test_the_board_for_grafana_asks_for_metrics_that_there_are(admin: httpx.AsyncClient) -> None:
    text = (await admin.get("/metrics")).text
    panels = json.loads((Path(__file__).parents[2] / "docs" / "how-to" / "grafana.json").read_text())["panels"]
    asked = {name for panel in panels for t in panel["targets"] for name in re.findall(r"studiolo_\w+", t["expr"])}
    assert len(asked) > 8
    for name in asked:
        family = re.sub(r"_(bucket|count|total)$", "", name)
        assert f"# TYPE {family}" in text, name


async def test_only_administrators_read_metrics_and_a_key_may_read_nothing_else(
    ana: httpx.AsyncClient, people: People, services: Services
) -> None:
    assert (await ana.get("/metrics")).status_code == 403
    assert (await people.anonymous().get("/metrics")).status_code == 401
    boss = await people.add("boss", is_admin=True)
    form = KeyCreate(name="prometheus", scopes=["platform:metrics"])
    key = (await services.keys.create_key(boss, form)).key
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as scraper:
        await read(scraper)
        assert (await scraper.get("/api/v1/admin/health")).json()["code"] == "scope-missing"


@pytest.mark.parametrize("given", ["", "no id", "x" * 36, "123e4567-e89b-42d3-a456-426614174000\n"])
async def test_a_request_id_is_the_front_door_s_or_our_own(ana: httpx.AsyncClient, given: str) -> None:
    good = "123e4567-e89b-42d3-a456-426614174000"
    assert (await ana.get(W, headers={"X-Request-Id": good})).headers["x-request-id"] == good
    assert (await ana.get(W, headers={"X-Request-Id": given.strip()[:-1]})).headers["x-request-id"] != given
