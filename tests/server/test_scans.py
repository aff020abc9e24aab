"""Scans from outside: over REST, with the real process that reads files, on folders that people filled with anything."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import People, eventually
from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services

V1 = "/api/v1"
PATIENCE = timedelta(seconds=60)
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "first",
            "metadata": {},
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "ghp_16C7e42F292c6912E7710c838347Ae178B4a"}
            ],
            "source": "import socket\nimport os\nos.system('id')",
        },
        {"cell_type": "code", "id": "second", "metadata": {}, "outputs": [], "source": "from subprocess import run"},
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
async def churn(ana: httpx.AsyncClient) -> dict[str, Any]:
    made = await ana.post(f"{V1}/jupyter/workspaces", json={"name": "churn"})
    return dict(made.json())


def at(workspace: dict[str, Any]) -> str:
    return f"{V1}/jupyter/workspaces/{workspace['id']}/scans"


def put(workspace: dict[str, Any], path: str, content: Any) -> Path:
    target = Path(workspace["path"], path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content if isinstance(content, str) else json.dumps(content))
    return target


async def scan(client: httpx.AsyncClient, workspace: dict[str, Any], **body: Any) -> dict[str, Any]:
    """Scan, and return the report."""
    begun = await client.post(at(workspace), json=body)
    assert begun.status_code == 202, begun.text

    async def ended() -> bool:
        return (await client.get(f"{at(workspace)}/current")).json()["state"] != "running"

    await eventually(ended, within=PATIENCE)
    progress = (await client.get(f"{at(workspace)}/current")).json()
    assert progress["state"] == "done", progress
    return dict((await client.get(f"{at(workspace)}/{progress['scan']}")).json())


def of(report: dict[str, Any], rule: str) -> list[dict[str, Any]]:
    return [finding for finding in report["findings"] if finding["rule"] == rule]


@pytest.mark.req("S0-53", "S0-54", "S0-55", "S0-88")
async def test_modules_and_functions_that_the_default_policy_blocks_are_reported_where_they_are_used(
    ana: httpx.AsyncClient, churn: dict[str, Any]
) -> None:
    put(churn, "study.ipynb", NOTEBOOK)
    report = await scan(ana, churn)
    imports = {(f["what"], f["place"]["cell"], f["place"]["line"]) for f in of(report, "blocked-import")}
    assert imports == {("import socket", "first", 1), ("import subprocess", "second", 1)}
    assert [(f["what"], f["place"]["cell"], f["place"]["line"]) for f in of(report, "blocked-call")] == [
        ("os.system", "first", 3)
    ]
    assert report["verdict"] == "findings"
    assert report["isolation"] == "L0"
    assert "not isolated" in report["enforcement"]


async def test_a_secret_in_an_output_is_reported_without_its_value(
    ana: httpx.AsyncClient, churn: dict[str, Any], services: Services
) -> None:
    put(churn, "study.ipynb", NOTEBOOK)
    report = await scan(ana, churn)
    (secret,) = of(report, "secret")
    assert "GitHub Token in output 1" in secret["what"]
    for form in ("json", "text", "sarif"):
        text = (await ana.get(f"{at(churn)}/latest/file", params={"format": form})).text
        assert "16C7e42F292c6912" not in text
    assert b"16C7e42F292c6912" not in Path(services.settings.data_dir, "studiolo.db").read_bytes()


async def test_an_accepted_finding_counts_no_more_until_it_is_opened_again(
    ana: httpx.AsyncClient, churn: dict[str, Any]
) -> None:
    put(churn, "study.ipynb", NOTEBOOK)
    before = await scan(ana, churn)
    (finding,) = of(before, "blocked-call")
    accepted = await ana.put(f"{at(churn)}/accepted/{finding['id']}", json={"reason": "shows who runs it"})
    assert accepted.json()["by"] == "ana"
    after = await scan(ana, churn)
    assert of(after, "blocked-call")[0]["accepted"]["reason"] == "shows who runs it"
    assert after["counts"]["high"] == before["counts"]["high"] - 1
    assert (await ana.delete(f"{at(churn)}/accepted/{finding['id']}")).status_code == 204
    again = (await ana.get(f"{at(churn)}/latest")).json()
    assert again["counts"] == before["counts"]
    gone = await ana.delete(f"{at(churn)}/accepted/{finding['id']}")
    assert gone.json()["code"] == "finding-not-found"


async def test_findings_keep_their_ids_when_lines_move(ana: httpx.AsyncClient, churn: dict[str, Any]) -> None:
    path = put(churn, "study.py", "import socket\n")
    (before,) = of(await scan(ana, churn), "blocked-import")
    path.write_text("# moved\n\nimport socket\n")
    (after,) = of(await scan(ana, churn), "blocked-import")
    assert (before["id"], before["place"]["line"], after["place"]["line"]) == (after["id"], 1, 3)


async def test_what_a_baseline_holds_is_accepted_in_that_report_only(
    ana: httpx.AsyncClient, churn: dict[str, Any]
) -> None:
    put(churn, "study.ipynb", NOTEBOOK)
    first = await scan(ana, churn)
    known = await scan(ana, churn, accepted=[finding["id"] for finding in first["findings"]])
    assert (known["verdict"], known["counts"]) == ("clean", {})
    assert (await scan(ana, churn))["verdict"] == "findings"


async def test_planted_files_are_findings_and_no_error(ana: httpx.AsyncClient, churn: dict[str, Any]) -> None:
    root = Path(churn["path"])
    put(churn, "deep.ipynb", "[" * 1_000_000)
    put(churn, "none.ipynb", "\0\0")
    with (root / "large.ipynb").open("wb") as large:
        large.truncate(200 << 20)
    (root / "out").symlink_to("/etc")
    (root / "round").symlink_to("round")
    os.mkfifo(root / "waits.py")
    (root / "turned\u202etxt.py").write_text("x = 1")
    Path(os.fsdecode(bytes(root) + b"/\xff.py")).write_text("import socket")
    put(churn, "broken.py", "def f(:")
    put(churn, "a.whl", "zip")
    report = await scan(ana, churn)
    rules = {(f["rule"], f["place"]["path"]) for f in report["findings"]}
    assert rules >= {
        ("unreadable-file", "deep.ipynb"),
        ("unreadable-file", "none.ipynb"),
        ("unreadable-file", "large.ipynb"),
        ("link-outside", "out"),
        ("link-outside", "round"),
        ("odd-name", "turned\\u202etxt.py"),
        ("blocked-import", "\\xff.py"),
        ("unparsable-code", "broken.py"),
        ("package-file", "a.whl"),
    }
    assert not [path for _, path in rules if path == "waits.py"]


async def test_settings_that_lead_elsewhere_are_reported_without_their_passwords(
    ana: httpx.AsyncClient, churn: dict[str, Any]
) -> None:
    put(churn, "pip.conf", "[global]\nindex-url = https://me:hush@packages.example/simple\n")
    put(churn, "sub/uv.toml", '[[index]]\nurl = "http://localhost:28888/pypi/simple/"\n')
    await ana.put(
        f"{V1}/jupyter/workspaces/{churn['id']}/config",
        content="environment:\n  UV_DEFAULT_INDEX: http://elsewhere.example/\n",
    )
    report = await scan(ana, churn)
    told = {(f["place"]["path"], f["what"]) for f in of(report, "configuration-drift")}
    assert told == {
        ("pip.conf", "global.index-url leads to packages.example"),
        ("workspace settings", "UV_DEFAULT_INDEX leads to elsewhere.example"),
    }


async def test_without_vulnerability_data_nothing_is_called_clean(
    ana: httpx.AsyncClient, churn: dict[str, Any]
) -> None:
    report = await scan(ana, churn)
    assert report["verdict"] == "incomplete"
    assert [f["rule"] for f in report["findings"] if f["severity"] != "info"] == ["vulnerabilities-unknown"]
    assert report["coverage"]["vulnerabilities"] is None


async def test_a_scan_can_be_cancelled_and_leaves_no_report(ana: httpx.AsyncClient, churn: dict[str, Any]) -> None:
    await ana.post(at(churn), json={})
    assert (await ana.post(at(churn), json={})).json()["code"] == "scan-running"
    assert (await ana.delete(f"{at(churn)}/current")).status_code == 204
    assert (await ana.get(f"{at(churn)}/current")).json()["state"] == "cancelled"
    assert (await ana.get(f"{at(churn)}/latest")).json()["code"] == "scan-not-found"
    assert (await ana.delete(f"{at(churn)}/current")).json()["code"] == "scan-not-found"


async def test_sarif_names_rules_places_and_what_is_accepted(ana: httpx.AsyncClient, churn: dict[str, Any]) -> None:
    put(churn, "a study.py", "import socket\nimport subprocess\n")
    report = await scan(ana, churn)
    accepted, still_open = of(report, "blocked-import")
    await ana.put(f"{at(churn)}/accepted/{accepted['id']}", json={"reason": "looks a name up"})
    reply = await ana.get(f"{at(churn)}/latest/file", params={"format": "sarif"})
    assert reply.headers["content-type"].startswith("application/sarif+json")
    log = reply.json()
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    names = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    by_id = {result["partialFingerprints"]["studiolo/v1"]: result for result in run["results"]}
    assert set(by_id) == {finding["id"] for finding in report["findings"]}
    for result in run["results"]:
        assert names[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("note", "warning", "error")
        assert result["message"]["text"]
    one = by_id[still_open["id"]]
    assert one["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20study.py"},
        "region": {"startLine": still_open["place"]["line"]},
    }
    assert "suppressions" not in one
    assert by_id[accepted["id"]]["suppressions"] == [{"kind": "external", "justification": "looks a name up"}]


async def test_history_is_newest_first_and_in_the_workspaces_activity(
    ana: httpx.AsyncClient, churn: dict[str, Any], clock: ManualClock
) -> None:
    put(churn, "study.py", "import socket\n")
    first = await scan(ana, churn)
    clock.advance(timedelta(minutes=5))
    second = await scan(ana, churn)
    page = (await ana.get(at(churn), params={"limit": 1})).json()
    assert [one["id"] for one in page["items"]] == [second["id"]]
    rest = (await ana.get(at(churn), params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert [(one["id"], one["worst"]) for one in rest["items"]] == [(first["id"], "high")]
    events = (await ana.get(f"{V1}/jupyter/workspaces/{churn['id']}/activity")).json()["items"]
    assert [(e["action"], e["detail"]["worst"]) for e in events if e["action"].startswith("scan")] == [
        ("scan.completed", "high"),
        ("scan.completed", "high"),
    ]


async def test_reports_are_for_the_workspaces_people(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, admin: httpx.AsyncClient, churn: dict[str, Any], people: People
) -> None:
    put(churn, "study.py", "import socket\n")
    report = await scan(ana, churn)
    assert (await leo.get(f"{at(churn)}/latest")).status_code == 404
    # Reports tell what is in files, and administrators look after workspaces without looking inside.
    assert (await admin.get(f"{at(churn)}/latest")).status_code == 403
    await ana.put(f"{V1}/jupyter/workspaces/{churn['id']}/members", json={"person": "leo", "role": "editor"})
    assert (await leo.get(f"{at(churn)}/latest")).status_code == 200
    finding = report["findings"][0]["id"]
    refused = await leo.put(f"{at(churn)}/accepted/{finding}", json={"reason": "mine to judge"})
    assert refused.status_code == 403
