"""Reports: as they are kept, and as people get them, with what was accepted since."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import RowMapping

from studiolo.contract.models import PersonRef, WorkspaceRef
from studiolo.contract.scans import (
    Acceptance,
    AcceptedFinding,
    Finding,
    ScanFormat,
    ScanReport,
    ScanSummary,
    Severity,
    worst_of,
)
from studiolo.packages.enforcement import enforcement_of
from studiolo.packages.scan.job import ScanOutcome
from studiolo.packages.scan.sarif import write_sarif
from studiolo.packages.scan.text import write_text
from studiolo.packages.scan.verdicts import count_open, summary_of, verdict_of

_BASELINE = "It is in the baseline that the caller gave."
_MEDIA = {"text": "text/plain; charset=utf-8", "sarif": "application/sarif+json"}
_ENDINGS = {"json": "json", "text": "txt", "sarif": "sarif"}


class KeptReport(BaseModel):
    """What stands in the database: what was found, and what held when it was. `baseline`: ids the caller gave."""

    outcome: ScanOutcome
    seconds: float
    isolation: str
    policy: str | None
    baseline: list[str]


def worst(outcome: ScanOutcome, accepted: Iterable[RowMapping], baseline: Iterable[str]) -> Severity | None:
    """Return the worst that was found and not accepted."""
    return worst_of(_marked(outcome.findings, _acceptances(accepted, baseline)))


def wire(row: RowMapping, workspace: RowMapping, accepted: Iterable[RowMapping]) -> ScanReport:
    """Return a scan with what is accepted now."""
    kept = KeptReport.model_validate_json(row["report"])
    findings = _marked(kept.outcome.findings, _acceptances(accepted, kept.baseline))
    return ScanReport(
        id=row["id"],
        workspace=WorkspaceRef(id=workspace["id"], name=workspace["name"], owner=workspace["owner_name"]),
        at=row["at"],
        seconds=kept.seconds,
        cause=row["cause"],
        by=_person(row),
        isolation=kept.isolation,
        enforcement=enforcement_of(kept.isolation),
        policy=kept.policy,
        verdict=verdict_of(findings),
        summary=summary_of(findings),
        counts=count_open(findings),
        accepted=sum(finding.accepted is not None for finding in findings),
        findings=findings,
        coverage=kept.outcome.coverage,
        packages=kept.outcome.packages,
    )


def summary(row: RowMapping) -> ScanSummary:
    """Return a scan as it stands in a list."""
    found = Severity(row["worst"]) if row["worst"] else None
    return ScanSummary(id=row["id"], at=row["at"], cause=row["cause"], by=_person(row), worst=found)


def accepted_finding(row: RowMapping) -> AcceptedFinding:
    """Return an acceptance as it stands in a list."""
    return AcceptedFinding(id=row["finding_id"], reason=row["reason"], by=row["by_name"], at=row["made_at"])


def write(report: ScanReport, form: ScanFormat) -> tuple[str, str, str]:
    """Return a report as a file: its text, its media type and its name."""
    writers = {"text": write_text, "sarif": write_sarif}
    text = writers[form](report) if form in writers else report.model_dump_json(indent=2) + "\n"
    name = f"{report.workspace.name}-scan-{_day(report.at)}.{_ENDINGS[form]}"
    return text, _MEDIA.get(form, "application/json"), name


def _acceptances(rows: Iterable[RowMapping], baseline: Iterable[str]) -> dict[str, Acceptance]:
    given = {finding_id: Acceptance(reason=_BASELINE) for finding_id in baseline}
    return given | {
        row["finding_id"]: Acceptance(reason=row["reason"], by=row["by_name"], at=row["made_at"]) for row in rows
    }


def _marked(findings: Iterable[Finding], acceptances: Mapping[str, Acceptance]) -> list[Finding]:
    return [one.model_copy(update={"accepted": acceptances.get(one.id)}) for one in findings]


def _person(row: Mapping[str, Any] | RowMapping) -> PersonRef | None:
    if row["by_id"] is None:
        return None
    return PersonRef(id=row["by_id"], name=row["by_name"], display_name=row["by_display_name"])


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
