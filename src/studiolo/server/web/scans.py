"""Security of a workspace: the newest report, what is accepted, the scans before."""

from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import NotFound, StudioloError
from studiolo.contract.scans import Finding, FindingAccept, ScanReport, ScanRequest
from studiolo.packages.scan.rules import RULES
from studiolo.packages.scan.text import place_of
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_Reads = Annotated[Principal, Depends(Allow("scan.read"))]
_Starts = Annotated[Principal, Depends(Allow("scan.start"))]
_Accepts = Annotated[Principal, Depends(Allow("finding.accept"))]
_Text = Annotated[str, Form(max_length=2000)]
_HISTORY = 20
_GUARDED = 20
# More of them are no page; the report as a file has all.
_MOST_SHOWN = 200


@router.get("/w/{workspace}/security")
async def show(
    request: Request,
    workspace: str,
    who: _Reads,
    services: ServicesOf,
    scan: Annotated[str, Query(max_length=40)] = "latest",
    cursor: Cursor = None,
) -> Response:
    """The verdict, the findings by severity, and the scans before."""
    return await _show(request, who, services, workspace, scan=scan, cursor=cursor)


@router.post("/w/{workspace}/security/scan")
async def start(request: Request, workspace: str, who: _Starts, services: ServicesOf) -> Response:
    """Begin to scan."""
    try:
        await services.scans.start(who, workspace, ScanRequest())
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/security")


@router.post("/w/{workspace}/security/cancel")
async def cancel(request: Request, workspace: str, who: _Starts, services: ServicesOf) -> Response:
    """Cancel the scan that runs."""
    try:
        await services.scans.cancel(who, workspace)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/security", "cancelled")


@router.post("/w/{workspace}/security/accept")
async def accept(
    request: Request, workspace: str, who: _Accepts, services: ServicesOf, finding: _Text = "", reason: _Text = ""
) -> Response:
    """Accept a finding, with a reason."""
    try:
        await services.scans.accept(who, workspace, finding, forms.read(FindingAccept, reason=reason.strip()))
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/security", "accepted")


@router.post("/w/{workspace}/security/reopen")
async def reopen(
    request: Request, workspace: str, who: _Accepts, services: ServicesOf, finding: _Text = ""
) -> Response:
    """Accept a finding no longer."""
    try:
        await services.scans.reopen(who, workspace, finding)
    except StudioloError as problem:
        return await _show(request, who, services, workspace, problem=problem)
    return see(f"/w/{workspace}/security", "changed")


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    workspace: str,
    *,
    scan: str = "latest",
    cursor: str | None = None,
    problem: StudioloError | None = None,
) -> Response:
    found = await services.workspaces.get(who, workspace)
    try:
        report = await services.scans.get(who, found.id, scan)
    except NotFound:
        if scan != "latest":
            raise
        report = None
    history = await services.scans.list_(who, found.id, cursor=cursor, limit=_HISTORY)
    here = f"/w/{found.id}/security"
    return await render(
        request,
        "workspace_security.html",
        who,
        status=status_of(problem),
        workspace=found,
        progress=await services.scans.progress(who, found.id),
        report=report,
        is_latest=scan == "latest" or bool(history.items and history.items[0].id == scan),
        history=history.items,
        guarded=await services.guarding.list_newest(who, found.id, _GUARDED),
        problem=problem,
        canonical=here if problem else None,
        **(_findings(report) if report else {"groups": [], "accepted": [], "left_out": 0}),
        **pager(here, history.next_cursor, cursor),
    )


def _findings(report: ScanReport) -> dict[str, Any]:
    """Return open findings by severity and accepted ones, each with its rule's title and its place in words."""
    still_open = [finding for finding in report.findings if finding.accepted is None]
    accepted = [finding for finding in report.findings if finding.accepted is not None]
    grouped = groupby(still_open[:_MOST_SHOWN], key=lambda finding: finding.severity)
    return {
        "groups": [(severity.value, [_Shown(finding) for finding in group]) for severity, group in grouped],
        "accepted": [_Shown(finding) for finding in accepted[:_MOST_SHOWN]],
        "left_out": max(0, len(still_open) - _MOST_SHOWN),
    }


@dataclass(frozen=True, slots=True)
class _Shown:
    """A finding as the page has it."""

    finding: Finding

    @property
    def title(self) -> str:
        """What its rule is about."""
        return RULES[self.finding.rule].title if self.finding.rule in RULES else self.finding.rule

    @property
    def where(self) -> str:
        """Its place in words."""
        return place_of(self.finding.place)
