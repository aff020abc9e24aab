"""Known vulnerabilities, from an OSV export that an administrator mounts, and which versions they are about.

Source: ossf.github.io/osv-schema (affected, ranges, "Evaluation").
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from studiolo.contract.scans import Finding, Place, Severity, VulnerabilityData
from studiolo.packages.installed.snapshots import Distribution
from studiolo.packages.names import key
from studiolo.packages.scan import osv, rules
from studiolo.packages.scan.cvss import base_score, severity_of_score
from studiolo.packages.scan.rules import clipped

_STATED = {
    "LOW": Severity.LOW,
    "MODERATE": Severity.MEDIUM,
    "MEDIUM": Severity.MEDIUM,
    "HIGH": Severity.HIGH,
    "CRITICAL": Severity.CRITICAL,
}
_OLD = timedelta(days=30)
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of looking packages up."""

    findings: list[Finding]
    data: VulnerabilityData | None


def judge_vulnerabilities(distributions: Iterable[Distribution], index: Path | None, now: datetime) -> Judged:
    """Look all packages up in an index that `osv.bring_up_to_date` made; None: there is no export."""
    installed = list(distributions)
    if index is None:
        what = "No vulnerability data is mounted on this platform"
        return Judged([rules.NOT_LOOKED_UP.found(Place(), what, "no-data")], None)
    findings, unknown = [], []
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as database:
        exported_at, entries = osv.describe(database)
        for one in installed:
            found = list(_of_package(one, osv.find(database, key(one.name))))
            findings += found
            # Advisories speak of PyPI's packages and of versions by PEP 440.
            if (one.ecosystem != "pypi" or _read(one.version) is None) and not found:
                unknown.append(f"{one.name} {one.version}")
    if unknown:
        named = ", ".join(unknown[:_MOST_NAMED]) + (" …" if unknown[_MOST_NAMED:] else "")
        what = f"Could not be looked up ({len(unknown)}): {clipped(named, 400)}"
        findings.append(rules.NOT_LOOKED_UP.found(Place(), what, "not-looked-up"))
    if now - exported_at > _OLD:
        what = f"The export's newest entry is of {exported_at:%-d %B %Y}, {(now - exported_at).days} days ago"
        findings.append(rules.OLD_DATA.found(Place(), what, "age"))
    data = VulnerabilityData(
        exported_at=exported_at, entries=entries, known=len(installed) - len(unknown), unknown=len(unknown)
    )
    return Judged(findings, data)


def is_affected(version: Version, affected: dict[str, Any]) -> bool:
    """Tell whether an `affected` entry of OSV is about a version."""
    if any(_read(str(one)) == version for one in affected.get("versions") or ()):
        return True
    return any(
        _is_in_range(version, span.get("events") or ())
        for span in affected.get("ranges") or ()
        if span.get("type") in ("ECOSYSTEM", "SEMVER")
    )


def _is_in_range(version: Version, events: Iterable[dict[str, Any]]) -> bool:
    inside = False
    for at, kind in sorted(_events(events), key=lambda event: (event[0], event[1] != "introduced")):
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def _events(events: Iterable[dict[str, Any]]) -> Iterator[tuple[Version, str]]:
    for event in events:
        for kind in ("introduced", "fixed", "last_affected"):
            # "0" is before every version.
            text = "0.dev0" if event.get(kind) == "0" else event.get(kind)
            if text is not None and (read := _read(str(text))) is not None:
                yield read, kind


def _of_package(one: Distribution, advisories: list[dict[str, Any]]) -> Iterator[Finding]:
    version = _read(one.version)
    if version is None:
        return
    hits = [advisory for advisory in advisories if any(is_affected(version, a) for a in advisory["affected"])]
    told: set[str] = set()
    # GitHub's entries state a severity; others of the same vulnerability mostly do not.
    for advisory in sorted(hits, key=lambda hit: (_stated(hit) is None, hit["id"])):
        names = {advisory["id"], *advisory["aliases"]}
        if names & told:
            continue
        told |= names
        yield _found(one, version, advisory)


def _found(one: Distribution, version: Version, advisory: dict[str, Any]) -> Finding:
    place = Place(package=f"{one.name} {one.version}")
    aliases = [alias for alias in advisory["aliases"] if alias.startswith("CVE-")]
    names = ", ".join([advisory["id"], *aliases[:2]])
    fixed = sorted(at for a in advisory["affected"] for at, kind in _fixes(a) if kind == "fixed" and at > version)
    severity, words = _stated(advisory), ""
    if severity is None:
        severity, words = Severity.HIGH, " Its severity is not stated, so it counts as high."
    return rules.VULNERABLE.found(
        place,
        f"{names}: {clipped(advisory['summary'] or 'no summary')}",
        advisory["id"],
        severity=severity,
        why=f"{rules.VULNERABLE.why}{words}",
        next_step=f"Install {one.name} {fixed[0]} or later."
        if fixed
        else "No fixed version is named: see the advisory.",
    )


def _fixes(affected: dict[str, Any]) -> Iterator[tuple[Version, str]]:
    for span in affected.get("ranges") or ():
        if span.get("type") in ("ECOSYSTEM", "SEMVER"):
            yield from _events(span.get("events") or ())


def _stated(advisory: dict[str, Any]) -> Severity | None:
    if (stated := _STATED.get(str(advisory["stated"]).upper())) is not None:
        return stated
    scores = [score for vector in advisory["vectors"] if (score := base_score(vector)) is not None]
    return severity_of_score(max(scores)) if scores else None


def _read(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
