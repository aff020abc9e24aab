"""An OSV export becomes an index once, versions are judged as its specification says, and unknown is not clean."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from studiolo.contract.scans import Finding, Severity
from studiolo.packages.installed.snapshots import Distribution
from studiolo.packages.scan.cvss import base_score
from studiolo.packages.scan.osv import ExportUnusable, bring_up_to_date
from studiolo.packages.scan.vulnerabilities import is_affected, judge_vulnerabilities

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def entry(name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    """An advisory on one package."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
    }
    return {"id": "GHSA-1", "modified": "2026-11-20T00:00:00Z", "summary": "Bad", "affected": [affected], **more}


def export(folder: Path, *entries: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, one in enumerate(entries):
        (folder / f"{number}.json").write_text(json.dumps(one))
    return folder


def judge(tmp_path: Path, *installed: tuple[str, str], ecosystem: Any = "pypi") -> list[Finding]:
    """Look packages up in the export at `tmp_path/osv`."""
    bring_up_to_date(tmp_path / "osv", tmp_path / "osv.db")
    found = [Distribution(ecosystem, name, version, "") for name, version in installed]
    return judge_vulnerabilities(found, tmp_path / "osv.db", NOW).findings


@pytest.mark.parametrize(
    ("events", "hit", "missed"),
    [
        ([{"introduced": "0"}, {"fixed": "2.1"}], ["0.1.dev3", "1.0", "2.1rc1"], ["2.1", "3"]),
        ([{"introduced": "1.5"}], ["1.5", "9"], ["1.4.9"]),
        ([{"introduced": "1"}, {"last_affected": "2"}], ["1", "2"], ["2.0.1", "0.9"]),
        ([{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "2.5"}], ["0.5", "2.4"], ["1", "2.5"]),
        ([{"fixed": "1"}, {"introduced": "0"}], ["0.5"], ["1"]),
    ],
)
def test_ranges_are_read_as_their_specification_says(events: list[Any], hit: list[str], missed: list[str]) -> None:
    affected = {"ranges": [{"type": "ECOSYSTEM", "events": events}]}
    assert [version for version in hit if not is_affected(Version(version), affected)] == []
    assert [version for version in missed if is_affected(Version(version), affected)] == []


def test_versions_that_are_named_count_in_any_spelling_and_commits_do_not() -> None:
    assert is_affected(Version("1.0"), {"versions": ["1.0.0"]})
    assert not is_affected(Version("1.0"), {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]})


def test_a_finding_names_the_advisory_and_the_version_that_mends_it(tmp_path: Path) -> None:
    severity = {"database_specific": {"severity": "MODERATE"}, "aliases": ["CVE-2026-1"]}
    export(tmp_path / "osv", entry("Tiny_Package", {"introduced": "0"}, {"fixed": "1.4"}, **severity))
    (finding,) = judge(tmp_path, ("tiny-package", "1.0"), ("other", "1.0"))
    assert (finding.place.package, finding.severity) == ("tiny-package 1.0", Severity.MEDIUM)
    assert finding.what == "GHSA-1, CVE-2026-1: Bad"
    assert finding.next_step == "Install tiny-package 1.4 or later."


def test_one_vulnerability_under_two_names_is_told_once_with_the_stated_severity(tmp_path: Path) -> None:
    unstated = entry("tiny", {"introduced": "0"}, id="PYSEC-1", aliases=["GHSA-1"])
    stated = entry("tiny", {"introduced": "0"}, aliases=["PYSEC-1"], database_specific={"severity": "CRITICAL"})
    export(tmp_path / "osv", unstated, stated)
    assert [(f.what[:6], f.severity) for f in judge(tmp_path, ("tiny", "1"))] == [("GHSA-1", Severity.CRITICAL)]


def test_a_vector_is_scored_and_without_one_the_severity_counts_as_high(tmp_path: Path) -> None:
    vector = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"}]
    export(
        tmp_path / "osv",
        entry("scored", {"introduced": "0"}, severity=vector),
        entry("bare", {"introduced": "0"}, id="GHSA-2"),
    )
    found = {f.place.package: f.severity for f in judge(tmp_path, ("scored", "1"), ("bare", "1"))}
    assert found == {"scored 1": Severity.MEDIUM, "bare 1": Severity.HIGH}


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 9.9),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", 0.0),
        ("CVSS:4.0/AV:N", None),
        ("CVSS:3.1/AV:N", None),
    ],
)
def test_vectors_have_the_scores_that_first_publishes(vector: str, score: float | None) -> None:
    assert base_score(vector) == score


def test_withdrawn_advisories_and_other_ecosystems_are_left_out(tmp_path: Path) -> None:
    foreign = entry("tiny", {"introduced": "0"}, id="GHSA-3")
    foreign["affected"][0]["package"]["ecosystem"] = "npm"
    withdrawn = entry("tiny", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z")
    export(tmp_path / "osv", withdrawn, foreign, entry("other", {"introduced": "0"}))
    assert judge(tmp_path, ("tiny", "1")) == []


def test_what_cannot_be_looked_up_is_unknown_and_not_clean(tmp_path: Path) -> None:
    export(tmp_path / "osv", entry("other", {"introduced": "0"}))
    (finding,) = judge(tmp_path, ("tiny", "2026-vendor"), ("fine", "1.0"))
    assert finding.rule == "vulnerabilities-unknown"
    assert "Could not be looked up (1): tiny 2026-vendor" in finding.what
    (finding,) = judge(tmp_path, ("libfoo", "1.0"), ecosystem="conda")
    assert finding.rule == "vulnerabilities-unknown"
    (finding,) = judge_vulnerabilities([Distribution("pypi", "tiny", "1", "")], None, NOW).findings
    assert finding.rule == "vulnerabilities-unknown"


def test_old_data_is_told_with_its_age(tmp_path: Path) -> None:
    export(tmp_path / "osv", entry("other", {"introduced": "0"}, modified="2026-09-01T00:00:00Z"))
    (finding,) = judge(tmp_path, ("tiny", "1"))
    assert finding.rule == "vulnerability-data-old"
    assert "1 September 2026, 81 days ago" in finding.what


def test_an_export_is_imported_once_and_again_when_it_changed(tmp_path: Path) -> None:
    folder, index = export(tmp_path / "osv", entry("tiny", {"introduced": "0"})), tmp_path / "osv.db"
    assert bring_up_to_date(folder, index)
    assert not bring_up_to_date(folder, index)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("GHSA-9.json", json.dumps(entry("other", {"introduced": "0"}, id="GHSA-9")))
        archive.writestr("broken.json", "{")
    assert bring_up_to_date(folder, index)
    assert {f.place.package for f in judge(tmp_path, ("tiny", "1"), ("other", "1"))} == {"tiny 1", "other 1"}
    assert list(tmp_path.glob("*.part")) == []


def test_an_export_that_cannot_be_used_says_why_and_the_old_index_stays(tmp_path: Path) -> None:
    folder, index = export(tmp_path / "osv", entry("tiny", {"introduced": "0"})), tmp_path / "osv.db"
    bring_up_to_date(folder, index)
    before = index.read_bytes()
    (folder / "all.zip").write_bytes(b"no zip")
    with pytest.raises(ExportUnusable, match=r"all\.zip"):
        bring_up_to_date(folder, index)
    assert index.read_bytes() == before
    with pytest.raises(ExportUnusable, match="does not exist"):
        bring_up_to_date(tmp_path / "nothing", index)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportUnusable, match=r"no \*\.json"):
        bring_up_to_date(tmp_path / "empty", index)
