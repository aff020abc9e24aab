"""REST of security scans of a workspace."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

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
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.scans.service import Scans

router = APIRouter(prefix="/jupyter/workspaces/{workspace}/scans", tags=["scans"])
_Scans = Annotated[Scans, Depends(service("scans"))]
_Reads = Annotated[Principal, Depends(Allow("scan.read"))]
_Starts = Annotated[Principal, Depends(Allow("scan.start"))]
_Accepts = Annotated[Principal, Depends(Allow("finding.accept"))]


@router.post("", status_code=202)
async def start_scan(workspace: str, form: ScanRequest, who: _Starts, scans: _Scans) -> ScanProgress:
    """Begin to scan a workspace: what is installed, its notebooks and files, its settings and its policy."""
    return await scans.start(who, workspace, form)


@router.get("")
async def list_scans(
    workspace: str,
    who: _Reads,
    scans: _Scans,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[ScanSummary]:
    """Scans that were made, newest first."""
    return await scans.list_(who, workspace, cursor=cursor, limit=limit)


@router.get("/current")
async def get_progress(workspace: str, who: _Reads, scans: _Scans) -> ScanProgress:
    """How the scan goes, or how the last one ended."""
    return await scans.progress(who, workspace)


@router.delete("/current", status_code=204)
async def cancel_scan(workspace: str, who: _Starts, scans: _Scans) -> Response:
    """Cancel it; there is no report of it."""
    await scans.cancel(who, workspace)
    return Response(status_code=204)


@router.get("/accepted")
async def list_accepted(workspace: str, who: _Reads, scans: _Scans) -> list[AcceptedFinding]:
    """Findings that were accepted."""
    return await scans.list_accepted(who, workspace)


@router.put("/accepted/{finding}")
async def accept_finding(
    workspace: str, finding: str, form: FindingAccept, who: _Accepts, scans: _Scans
) -> AcceptedFinding:
    """Accept a finding of the newest report from now on."""
    return await scans.accept(who, workspace, finding, form)


@router.delete("/accepted/{finding}", status_code=204)
async def reopen_finding(workspace: str, finding: str, who: _Accepts, scans: _Scans) -> Response:
    """Accept a finding no longer."""
    await scans.reopen(who, workspace, finding)
    return Response(status_code=204)


@router.get("/{scan}")
async def get_scan(workspace: str, scan: str, who: _Reads, scans: _Scans) -> ScanReport:
    """A report, by id or `latest`, with what is accepted now."""
    return await scans.get(who, workspace, scan)


@router.get("/{scan}/file")
async def get_scan_file(
    workspace: str,
    scan: str,
    who: _Reads,
    scans: _Scans,
    form: Annotated[ScanFormat, Query(alias="format", description="json, text or sarif (2.1.0).")] = "json",
) -> Response:
    """A report as a file."""
    text, media_type, name = await scans.write(who, workspace, scan, form)
    return Response(text, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
