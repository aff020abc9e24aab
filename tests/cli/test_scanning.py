"""`security-scan` ends by the worst that nobody accepted, and takes what it printed before as a baseline."""

import json
from pathlib import Path

import pytest

from cli import samples
from cli.samples import Run
from studiolo.contract.scans import Severity
from studiolo.testing.stand_in import StandIn

SCANS = "/jupyter/workspaces/churn/scans"


def found(severity: str) -> dict[str, object]:
    """A report whose one finding has this severity."""
    return {**samples.SCAN, "findings": [{**samples.FINDING, "severity": severity}]}


@pytest.mark.req("S0-88")
def test_the_report_is_printed_and_high_findings_fail(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", f"{SCANS}/c-1", found("high"))
    ran = cli("security-scan", "churn", program="ml jupyter")
    assert (ran.code, ran.out) == (13, samples.SCAN_TEXT)


@pytest.mark.parametrize("severity", list(Severity))
def test_the_exit_code_says_how_bad_it_is(severity: Severity, cli: Run, platform: StandIn) -> None:
    platform.answer("GET", f"{SCANS}/c-1", found(severity.value))
    assert cli("security-scan", "churn", "--fail-on", "info").code == 10 + list(Severity).index(severity)
    assert cli("security-scan", "churn", "--fail-on", "never").code == 0


def test_what_is_accepted_does_not_fail(cli: Run, platform: StandIn) -> None:
    accepted = {**samples.FINDING, "severity": "critical", "accepted": {"reason": "a test key", "by": "ana"}}
    platform.answer("GET", f"{SCANS}/c-1", {**samples.SCAN, "findings": [accepted]})
    assert cli("security-scan", "churn", "--fail-on", "low").code == 0


@pytest.mark.parametrize(
    "content",
    [
        {"findings": [{"id": "f-1"}, {"id": "f-2"}]},
        {"runs": [{"results": [{"partialFingerprints": {"studiolo/v1": one}} for one in ("f-1", "f-2")]}]},
        ["f-1", "f-2"],
    ],
    ids=("report", "sarif", "ids"),
)
def test_a_report_of_before_is_a_baseline(content: object, cli: Run, platform: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(json.dumps(content))
    cli("security-scan", "churn", "--baseline", str(file))
    assert platform.last("POST").body == {"accepted": ["f-1", "f-2"]}


@pytest.mark.parametrize("content", ["", "[[", '{"items": []}', "5"])
def test_what_is_no_report_is_refused_before_anything_is_scanned(
    content: str, cli: Run, platform: StandIn, tmp_path: Path
) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(content)
    ran = cli("security-scan", "churn", "--baseline", str(file))
    assert ran.code == 2
    assert "is no report of a scan" in ran.err
    assert platform.asked == []


def test_the_newest_report_is_shown_without_a_scan(cli: Run, platform: StandIn) -> None:
    assert cli("security-scan", "churn", "--latest").code == 0
    assert {asked.method for asked in platform.asked} == {"GET"}


def test_a_finding_is_accepted_with_a_reason_only(cli: Run, platform: StandIn) -> None:
    refused = cli("security-scan", "churn", "--accept", "f-1")
    assert (refused.code, platform.asked) == (2, [])
    assert "--reason" in refused.err
    ran = cli("security-scan", "churn", "--accept", "f-1", "--reason", "a test key", "--reopen", "f-2")
    assert (ran.code, ran.out) == (0, "Accepted f-1. Open again: f-2.\n")
    assert platform.last("PUT").body == {"reason": "a test key"}


def test_a_scan_that_fails_says_why(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", f"{SCANS}/current", {"state": "failed", "message": "The process ended."})
    ran = cli("security-scan", "churn")
    assert ran.code == 8
    assert "The process ended." in ran.err
