"""Use cases of security scans: begin one, see how it goes, cancel it, read reports, accept findings."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.errors import Conflict, NotFound, StudioloError
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Page
from studiolo.contract.scans import (
    AcceptedFinding,
    FindingAccept,
    ScanFormat,
    ScanProgress,
    ScanReport,
    ScanRequest,
    ScanSummary,
)
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import read_time_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal
from studiolo.server.scans import queries, reports
from studiolo.server.scans.grounds import Grounds
from studiolo.server.scans.reports import KeptReport
from studiolo.server.scans.running import run_scan
from studiolo.server.workspaces.service import MAX_PAGE, Workspaces

_log = structlog.get_logger(__name__)
# Each takes a processor; others wait their turn.
_AT_ONCE = 2
_TELL_SECONDS = 0.5
_KEPT = 100
_MOST_REMEMBERED = 500
_LATEST = "latest"


@dataclass
class _Running:
    progress: ScanProgress
    task: asyncio.Task[None] | None = None
    told_at: float = 0.0


class Scans:
    """Scans workspaces. What is being scanned is known to this process; a scan that a restart cut off is none."""

    def __init__(self, db: Database, clock: Clock, audit: Audit, workspaces: Workspaces, grounds: Grounds) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._workspaces = workspaces
        self._grounds = grounds
        self._running: dict[str, _Running] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def start(self, who: Principal, reference: str, form: ScanRequest) -> ScanProgress:
        """Begin to scan a workspace. Raises Conflict (`scan-running`)."""
        row = await self._find(who, reference, "scan.start")
        known = self._running.get(row["id"])
        if known is not None and known.progress.state == "running":
            raise Conflict("scan-running", f"{row['name']!r} is being scanned already.", hint="Wait, or cancel it.")
        running = _Running(ScanProgress(state="running", phase="Waiting", percent=0, began_at=self._clock.now()))
        self._running.pop(row["id"], None)
        self._running[row["id"]] = running
        running.task = asyncio.create_task(self._run(who, row, running, form))
        while len(self._running) > _MOST_REMEMBERED:
            self._running.pop(next(iter(self._running)))
        return running.progress

    async def progress(self, who: Principal, reference: str) -> ScanProgress:
        """Return how the scan goes, or how the last one ended since the platform began."""
        row = await self._find(who, reference, "scan.read")
        known = self._running.get(row["id"])
        return known.progress if known is not None else ScanProgress(state="none")

    async def cancel(self, who: Principal, reference: str) -> None:
        """End a scan without a report. Raises NotFound (`scan-not-found`)."""
        row = await self._find(who, reference, "scan.start")
        known = self._running.get(row["id"])
        if known is None or known.task is None or known.task.done():
            raise NotFound("scan-not-found", f"{row['name']!r} is not being scanned.")
        known.task.cancel()
        await asyncio.gather(known.task, return_exceptions=True)

    async def list_(
        self, who: Principal, reference: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[ScanSummary]:
        """Return the scans of a workspace, newest first; the last hundred are kept."""
        row = await self._find(who, reference, "scan.read")
        before, limit = read_time_cursor(cursor), max(1, min(limit, MAX_PAGE))
        async with self._db.read() as connection:
            found = await queries.list_scans(connection, row["id"], before=before, limit=limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(
            items=[reports.summary(one) for one in found[:limit]],
            next_cursor=write_cursor(last["at"].isoformat(), last["id"]) if last else None,
        )

    async def get(self, who: Principal, reference: str, scan_id: str = _LATEST) -> ScanReport:
        """Return a report, by id or `latest`, with what is accepted now. Raises NotFound (`scan-not-found`)."""
        row = await self._find(who, reference, "scan.read")
        async with self._db.read() as connection:
            found = await queries.find_scan(connection, row["id"], None if scan_id == _LATEST else scan_id)
            accepted = await queries.list_accepted(connection, row["id"])
        if found is None:
            raise NotFound(
                "scan-not-found",
                f"There is no such scan of {row['name']!r}.",
                hint="`studiolo security-scan` makes one; the last hundred are kept.",
            )
        return await asyncio.to_thread(reports.wire, found, row, accepted)

    async def write(self, who: Principal, reference: str, scan_id: str, form: ScanFormat) -> tuple[str, str, str]:
        """Return a report as a file: text, media type, name. Raises as `get`."""
        report = await self.get(who, reference, scan_id)
        return await asyncio.to_thread(reports.write, report, form)

    async def list_accepted(self, who: Principal, reference: str) -> list[AcceptedFinding]:
        """Return the findings that were accepted in a workspace."""
        row = await self._find(who, reference, "scan.read")
        async with self._db.read() as connection:
            return [reports.accepted_finding(one) for one in await queries.list_accepted(connection, row["id"])]

    async def accept(self, who: Principal, reference: str, finding_id: str, form: FindingAccept) -> AcceptedFinding:
        """Accept a finding of the newest scan, with a reason. Raises NotFound (`finding-not-found`)."""
        row = await self._find(who, reference, "finding.accept")
        newest = await self.get(who, row["id"])
        found = next((one for one in newest.findings if one.id == finding_id), None)
        if found is None:
            raise _no_finding(finding_id)
        values = {"workspace_id": row["id"], "finding_id": finding_id, "reason": form.reason}
        values |= {"made_by": who.person_id or None, "made_at": self._clock.now()}
        async with self._db.write() as tx:
            await queries.set_accepted(tx.connection, values)
            await self._record(tx, who, "finding.accept", row, finding=finding_id, what=found.what, reason=form.reason)
        return AcceptedFinding(id=finding_id, reason=form.reason, by=who.name, at=values["made_at"])

    async def reopen(self, who: Principal, reference: str, finding_id: str) -> None:
        """Accept a finding no longer. Raises NotFound (`finding-not-found`)."""
        row = await self._find(who, reference, "finding.accept")
        async with self._db.write() as tx:
            if not await queries.delete_accepted(tx.connection, row["id"], finding_id):
                raise _no_finding(finding_id)
            await self._record(tx, who, "finding.reopen", row, finding=finding_id)

    async def close(self) -> None:
        """End the scans that run."""
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _find(self, who: Principal, reference: str, operation: str) -> RowMapping:
        async with self._db.read() as connection:
            return await self._workspaces.resolve(connection, who, reference, operation)

    async def _run(self, who: Principal, row: RowMapping, running: _Running, form: ScanRequest) -> None:
        changes: dict[str, object] = {"state": "failed", "percent": None}
        try:
            async with self._turns:
                started = time.monotonic()
                job, policy = await self._grounds.of(row)
                outcome = await run_scan(job, lambda phase, percent: self._tell(row["id"], running, phase, percent))
            kept = KeptReport(
                outcome=outcome,
                seconds=round(time.monotonic() - started, 2),
                isolation=self._grounds.isolation,
                policy=policy.hash,
                baseline=form.accepted,
            )
            scan_id = await self._keep(who, row, kept, job.now)
            changes = {"state": "done", "percent": 100, "scan": scan_id}
        except asyncio.CancelledError:
            changes["state"] = "cancelled"
        except StudioloError as exc:
            changes["message"] = f"{exc.message} {exc.hint or ''}".strip()
            _log.warning("scan-failed", workspace=row["id"], message=exc.message, detail=exc.detail)
        except Exception:
            changes["message"] = "An unexpected fault; the log has the detail."
            _log.exception("scan-failed", workspace=row["id"])
        finally:
            running.progress = running.progress.model_copy(update=changes)
            self._publish(row["id"])

    async def _keep(self, who: Principal, row: RowMapping, kept: KeptReport, at: datetime) -> str:
        scan_id, text = new_id(IdKind.SCAN), await asyncio.to_thread(kept.model_dump_json)
        async with self._db.write() as tx:
            accepted = await queries.list_accepted(tx.connection, row["id"])
            worst = reports.worst(kept.outcome, accepted, kept.baseline)
            values = {"id": scan_id, "workspace_id": row["id"], "cause": "asked", "worst": worst or "", "report": text}
            await queries.insert_scan(tx.connection, values | {"made_by": who.person_id or None, "at": at})
            await queries.keep_newest(tx.connection, row["id"], _KEPT)
            told = {"scan": scan_id, "worst": worst or "none", "found": len(kept.outcome.findings)}
            await self._record(tx, who, "scan.completed", row, **told)
        return scan_id

    async def _record(self, tx: Transaction, who: Principal, action: str, row: RowMapping, **detail: Any) -> None:
        topics = (f"workspace:{row['id']}",)
        await self._audit.record(tx, who, action, row["name"], workspace_id=row["id"], topics=topics, **detail)

    def _tell(self, workspace_id: str, running: _Running, phase: str, percent: int | None) -> None:
        running.progress = running.progress.model_copy(update={"phase": phase, "percent": percent})
        if time.monotonic() - running.told_at > _TELL_SECONDS:
            running.told_at = time.monotonic()
            self._publish(workspace_id)

    def _publish(self, workspace_id: str) -> None:
        self._audit.live.publish((f"workspace:{workspace_id}",), workspace_id=workspace_id)


def _no_finding(finding_id: str) -> NotFound:
    return NotFound(
        "finding-not-found",
        f"There is no finding {finding_id[:64]!r} to do this with.",
        hint="The newest report lists those there are; scan again if it is older than the finding.",
    )
