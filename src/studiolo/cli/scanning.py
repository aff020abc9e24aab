"""`security-scan`: scan a workspace, show the report, accept findings."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, say
from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.contract.scans import ScanFormat, ScanProgress, ScanReport, Severity
from studiolo.sdk import Studiolo


class Format(StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


class FailOn(StrEnum):
    """From which severity on the command fails."""

    NEVER = "never"
    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def security_scan(
    workspace: WorkspaceArgument,
    format: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TEXT,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="From which severity on to end with 11 (low) to 14 (critical).")
    ] = FailOn.HIGH,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="A report (JSON or SARIF) whose findings are accepted."),
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Show the newest report; do not scan.")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="ID", help="Accept a finding of the newest report; again for each."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why it is accepted.")] = None,
    reopen: Annotated[
        list[str] | None, typer.Option("--reopen", metavar="ID", help="Accept a finding no longer; again for each.")
    ] = None,
) -> None:
    """Look for what the policy forbids, vulnerable packages, secrets and settings that lead elsewhere.

    Nothing of the workspace is run. The exit code is 0, or with findings from --fail-on on 10 (info), 11 (low),
    12 (medium), 13 (high) or 14 (critical), by the worst that nobody accepted. Ctrl-C cancels the scan.

    \b
    Examples:
      studiolo security-scan churn
      studiolo security-scan churn --format sarif > churn.sarif
      studiolo security-scan churn --accept f-1b2c3d4e5f607182 --reason "a test key, revoked"
    """
    if accept or reopen:
        _decide(workspace, accept or [], reopen or [], reason)
        return
    if reason is not None:
        raise InvalidInput("usage-invalid", "--reason is for findings that are accepted.", hint="Name them: --accept.")
    form: ScanFormat = "json" if current().json else format.value
    if current().json and format is Format.SARIF:
        raise InvalidInput("usage-invalid", "--json and --format sarif exclude each other.", hint="Leave one out.")
    known = _read_baseline(baseline) if baseline is not None else []
    with connect() as client:
        scan = "latest" if latest else _scan(client, workspace, known)
        report = client.scans.get(workspace, scan)
        is_json = form == "json"
        text = report.model_dump_json(indent=2) + "\n" if is_json else client.scans.file(workspace, scan, format=form)
    sys.stdout.write(text)
    _end(report, fail_on)


def _scan(client: Studiolo, workspace: str, known: list[str]) -> str:
    """Scan and return the report's id. Raises Unavailable (`scan-failed`); Ctrl-C cancels it."""
    client.scans.start(workspace, accepted=known)
    try:
        done = client.scans.wait(workspace, tell=_show if sys.stderr.isatty() else lambda progress: None)
    except KeyboardInterrupt:
        client.scans.cancel(workspace)
        say("\nCancelled; there is no report.")
        raise
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if done.state != "done" or done.scan is None:
        raise Unavailable("scan-failed", done.message or f"The scan was {done.state}.", hint="Scan again.")
    return done.scan


def _decide(workspace: str, accept: list[str], reopen: list[str], reason: str | None) -> None:
    if accept and not reason:
        raise InvalidInput("usage-invalid", "A finding is accepted with a reason.", hint="Add --reason TEXT.")
    with connect() as client:
        accepted = [client.scans.accept(workspace, one, reason or "") for one in accept]
        for one in reopen:
            client.scans.reopen(workspace, one)
    emit({"accepted": accepted, "reopened": reopen}, lambda: print(_told(accept, reopen)))


def _told(accept: list[str], reopen: list[str]) -> str:
    parts = [f"Accepted {', '.join(accept)}."] if accept else []
    return " ".join([*parts, *([f"Open again: {', '.join(reopen)}."] if reopen else [])])


def _read_baseline(path: Path) -> list[str]:
    """Return the ids of findings in a report. Raises InvalidInput (`usage-invalid`) for anything else."""
    try:
        return _ids_in(json.loads(path.read_bytes()))
    except OSError as exc:
        raise InvalidInput("usage-invalid", f"{path} cannot be read: {exc.strerror}.") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InvalidInput(
            "usage-invalid",
            f"{path} is no report of a scan.",
            hint=f"Make one: {current().program} security-scan WORKSPACE --format json > {path.name}",
        ) from exc


def _ids_in(document: Any) -> list[str]:
    if isinstance(document, list):
        return [str(one) for one in document]
    if "runs" in document:
        return [result["partialFingerprints"]["studiolo/v1"] for run in document["runs"] for result in run["results"]]
    return [finding["id"] for finding in document["findings"]]


def _show(progress: ScanProgress) -> None:
    percent = f" {progress.percent} %" if progress.percent is not None else ""
    sys.stderr.write(f"\r{progress.phase[:80]}{percent}\x1b[K")


def _end(report: ScanReport, fail_on: FailOn) -> None:
    worst = report.worst
    if fail_on is not FailOn.NEVER and worst is not None and worst.rank >= Severity(fail_on.value).rank:
        raise typer.Exit(worst.exit_code)
