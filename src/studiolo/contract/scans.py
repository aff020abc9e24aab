"""Wire models of security scans: what was found in a workspace's environment and files, and what was accepted."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from studiolo.contract.models import PersonRef, Request, Wire, WorkspaceRef

Verdict = Literal["clean", "findings", "incomplete"]
ScanFormat = Literal["json", "text", "sarif"]


class Severity(StrEnum):
    """How bad a finding is, mildest first."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Higher is worse; `info` has 0."""
        return list(Severity).index(self)

    @property
    def exit_code(self) -> int:
        """What `security-scan` ends with when this is the worst finding that fails it: 10 (info) to 14 (critical)."""
        return 10 + self.rank


class Place(Wire):
    """Where something was found. `path`: in the workspace, as it is shown; `cell`: its id; lines count from 1."""

    path: str | None = None
    cell: str | None = None
    cell_number: int | None = Field(None, description="Position of the cell in its notebook, from 1.")
    line: int | None = None
    package: str | None = Field(None, description="Name and version of an installed package.")


class Acceptance(Wire):
    """That somebody looked at a finding and accepts it. `by` is None where a baseline file of the caller's says so."""

    reason: str
    by: str | None = None
    at: datetime | None = None


class Finding(Wire):
    """One thing that was found. `id` stays the same while the thing stays, also when lines move."""

    id: str
    rule: str
    severity: Severity
    place: Place
    what: str
    why: str
    next_step: str
    accepted: Acceptance | None = None


class ScannedPackage(Wire):
    """An installed package. `origin`: where its files come from, as far as that is proven."""

    ecosystem: Literal["pypi", "conda"]
    name: str
    version: str
    origin: Literal["base", "index", "unproven"]
    sha256: str | None = Field(None, description="Of the file that the index delivered, where that is proven.")


class VulnerabilityData(Wire):
    """The OSV export that a scan used. Packages that it cannot speak of are unknown, which is not clean."""

    exported_at: datetime = Field(description="When its newest entry was changed.")
    entries: int
    known: int = Field(description="Packages that were looked up.")
    unknown: int = Field(description="Packages that could not be looked up.")


class Coverage(Wire):
    """What was looked at, and what was not."""

    packages: int = 0
    files: int = 0
    notebooks: int = 0
    skipped_folders: list[str] = Field(default_factory=list, description="Folders whose files were not read.")
    vulnerabilities: VulnerabilityData | None = None


class ScanReport(Wire):
    """The outcome of one scan. `verdict` is `incomplete` where nothing was found but something stayed unknown."""

    id: str
    workspace: WorkspaceRef
    at: datetime
    seconds: float
    cause: str
    by: PersonRef | None
    isolation: str
    enforcement: str = Field(description="What the engine enforces of the policy, in a sentence.")
    policy: str | None = Field(description="Hash of the policy that was judged by.")
    verdict: Verdict
    summary: str
    counts: dict[Severity, int] = Field(description="Findings that nobody accepted.")
    accepted: int
    findings: list[Finding]
    coverage: Coverage
    packages: list[ScannedPackage]

    @property
    def worst(self) -> Severity | None:
        """The highest severity that nobody accepted."""
        return worst_of(self.findings)


class ScanSummary(Wire):
    """A scan in the list of those that were made."""

    id: str
    at: datetime
    cause: str
    by: PersonRef | None
    worst: Severity | None


class ScanProgress(Wire):
    """How a scan goes, or how the last one ended since the platform began."""

    state: Literal["none", "running", "done", "failed", "cancelled"]
    phase: str = ""
    percent: int | None = None
    message: str | None = Field(None, description="Why it failed.")
    began_at: datetime | None = None
    scan: str | None = Field(None, description="Id of the report, once it is done.")


class ScanRequest(Request):
    """Scan a workspace now."""

    accepted: list[str] = Field(
        default_factory=list, max_length=20_000, description="Ids of findings that this report counts as accepted."
    )


class FindingAccept(Request):
    """Accept a finding from now on."""

    reason: str = Field(min_length=1, max_length=2000)


class AcceptedFinding(Acceptance):
    """A finding that was accepted in a workspace."""

    id: str


def worst_of(findings: Collection[Finding]) -> Severity | None:
    """Return the highest severity of findings that nobody accepted, None without any."""
    return max((one.severity for one in findings if one.accepted is None), key=lambda one: one.rank, default=None)
