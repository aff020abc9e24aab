"""A scan as its page shows it: findings of each severity, one of them accepted."""

from datetime import UTC, datetime, timedelta

from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.policies import GuardFinding
from studiolo.contract.scans import Coverage, FindingAccept, Place, Severity, VulnerabilityData
from studiolo.packages.scan import rules
from studiolo.packages.scan.job import ScanOutcome
from studiolo.server.principal import Principal
from studiolo.server.scans import queries
from studiolo.server.scans.reports import KeptReport
from studiolo.server.services import Services

_NOTEBOOK = "notebooks/reports of the second half of the year/survival-by-plan-and-region.ipynb"
_CELL = Place(path=_NOTEBOOK, cell="c1b2", cell_number=12, line=3)
_FINDINGS = [
    rules.VULNERABLE.found(Place(package="pillow 9.0.0"), "GHSA-8vj2-vxx3-667w: code runs", severity=Severity.CRITICAL),
    rules.SECRET.found(_CELL, "AWS Access Key in output 1 (hash 9f2b7c1d00aa3e45)"),
    rules.START_HOOK.found(
        Place(path="lib/python3.11/site-packages/a_rather_long_name_of_a_hook.pth"), "It belongs to no package"
    ),
    rules.DYNAMIC.found(_CELL, "eval(…) of text that is computed"),
    rules.OLD_DATA.found(Place(), "The export's newest entry is of 1 October 2026, 51 days ago"),
    rules.SHELL_INSTALL.found(_CELL, "pip installs polars"),
]


async def add_scan(services: Services, ana: Principal, churn: str) -> dict[str, str]:
    """Keep a report of churn, and accept one of its findings. Returns its id."""
    now, scan_id = datetime.now(UTC), new_id(IdKind.SCAN)
    data = VulnerabilityData(exported_at=now - timedelta(days=51), entries=18_203, known=139, unknown=3)
    coverage = Coverage(packages=142, files=31, notebooks=9, skipped_folders=[".git"], vulnerabilities=data)
    outcome = ScanOutcome(findings=_FINDINGS, coverage=coverage, packages=[])
    kept = KeptReport(outcome=outcome, seconds=4.2, isolation="L0", policy="0" * 64, baseline=[])
    values = {"id": scan_id, "workspace_id": churn, "cause": "asked", "worst": "critical", "at": now}
    async with services.db.write() as tx:
        await queries.insert_scan(tx.connection, values | {"report": kept.model_dump_json(), "made_by": ana.person_id})
    await services.guarding.tell(ana, churn, GuardFinding(rule="os.system", call="os.system"))
    await services.scans.accept(ana, churn, _FINDINGS[3].id, FindingAccept(reason="A formula that Ana typed herself"))
    return {"scan": scan_id}
