"""A whole scan in its own process: what it is given in, and what it writes, line by line."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.scans import Finding, Place
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import read_entry
from studiolo.packages.scan.job import ScanJob, ScanOutcome, ScanStep
from studiolo.packages.scan.rules import RULES
from studiolo.packages.scan.verdicts import summary_of, verdict_of

POLICY = Policy(channels=("defaults",), blocked=(read_entry("socket", "the default"),))


def job(folder: Path, **more: Any) -> ScanJob:
    """What a scan of `folder/files` is given; no environment is there yet."""
    (folder / "files").mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "root": folder / "files",
        "prefix": folder / "environment",
        "bases": [],
        "settings_folders": [],
        "variables": {},
        "policy": POLICY.to_json(),
        "deliveries": [],
        "indexes": ["localhost:8888"],
        "osv_export": None,
        "osv_index": folder / "osv.db",
        "key": "00" * 32,
        "now": datetime(2026, 11, 21, tzinfo=UTC),
    }
    return ScanJob(**(given | more))


def scan(job: ScanJob) -> ScanOutcome:
    done = subprocess.run(
        [sys.executable, "-m", "studiolo.packages.scan.worker"],
        input=job.model_dump_json().encode(),
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    steps = [ScanStep.model_validate_json(line) for line in done.stdout.splitlines()]
    assert [step.outcome for step in steps[:-1]] == [None] * (len(steps) - 1)
    assert steps[-1].outcome is not None
    return steps[-1].outcome


def rules_of(outcome: ScanOutcome) -> set[str]:
    return {finding.rule for finding in outcome.findings}


def test_an_environment_that_is_not_there_yet_is_no_finding(tmp_path: Path) -> None:
    outcome = scan(job(tmp_path))
    assert rules_of(outcome) == {"vulnerabilities-unknown"}
    assert (outcome.packages, outcome.coverage.files) == ([], 0)


def test_files_that_were_not_reached_in_time_are_counted_in_one_finding(tmp_path: Path) -> None:
    given = job(tmp_path, seconds=0.0)
    for number in range(30):
        (given.root / f"{number}.py").write_text("import socket\n")
    outcome = scan(given)
    assert rules_of(outcome) == {"scan-incomplete"}
    (finding,) = outcome.findings
    assert "32 files or parts were not read" in finding.what


def test_names_that_only_look_like_blocked_ones_are_judged_where_they_are_installed(tmp_path: Path) -> None:
    given = job(tmp_path, policy=Policy(blocked=(read_entry("requests", "the default"),)).to_json())
    (given.root / "a.py").write_text("import request, requests\n")
    (given.root / "b.sh").write_text("pip install reqests\n")
    told = [(finding.rule, finding.place.path) for finding in scan(given).findings if finding.severity.rank]
    assert told == [
        ("blocked-install", "b.sh"),
        ("vulnerabilities-unknown", None),
        ("blocked-package-used", "a.py"),
    ]


def test_findings_come_worst_first_and_each_rule_tells_what_to_do(tmp_path: Path) -> None:
    given = job(tmp_path, variables={"PIP_INDEX_URL": "http://elsewhere.example/"})
    (given.root / "a.py").write_text("import socket\ndef f(:\n")
    (given.root / "b.py").write_text("import socket\n")
    (given.root / "c.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": "!pip install six"}]}))
    ranks = [finding.severity.rank for finding in scan(given).findings]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == 4
    for rule in RULES.values():
        assert rule.next_step.endswith(".")
        assert rule.why.endswith(".")


@pytest.mark.parametrize(
    ("rules", "verdict", "words"),
    [
        ((), "clean", "Nothing was found that needs you."),
        (("shell-install",), "clean", "Nothing was found that needs you (1 info)."),
        (("unreadable-file",), "incomplete", "Not known to be clean. 1 finding: 1 medium."),
        (("unreadable-file", "secret"), "findings", "2 findings: 1 high, 1 medium."),
    ],
)
def test_unknown_is_not_clean_and_what_is_worth_knowing_is(rules: tuple[str, ...], verdict: str, words: str) -> None:
    findings: list[Finding] = [RULES[rule].found(Place(path="a"), "x") for rule in rules]
    assert (verdict_of(findings), summary_of(findings)) == (verdict, words)
