"""Security scans of workspaces: what is installed, notebooks and files, settings, the policy."""

from collections.abc import Callable, Collection

import anyio

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
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment

_LOOK_SECONDS = 0.3
# Within the class, `list` is the method.
_AcceptedFindings = list[AcceptedFinding]


class Scans:
    """Scan workspaces, read reports, accept findings. A report is named by id or `latest`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def start(self, workspace: str, *, accepted: Collection[str] = ()) -> ScanProgress:
        """Begin a scan; `accepted`: ids of findings that its report counts as accepted.

        Raises Conflict (`scan-running`), Denied for viewers.
        """
        body = fill(ScanRequest, accepted=list(accepted))
        return await self._transport.fetch(ScanProgress, "POST", _at(workspace), body=body)

    async def progress(self, workspace: str) -> ScanProgress:
        """Return how the scan goes, or how the last one ended; `state` is `none` if there was none."""
        return await self._transport.fetch(ScanProgress, "GET", f"{_at(workspace)}/current")

    async def wait(
        self, workspace: str, *, tell: Callable[[ScanProgress], None] = lambda progress: None
    ) -> ScanProgress:
        """Wait until the scan has ended; `state` says how, `scan` names its report. `tell` is given what is known."""
        while (progress := await self.progress(workspace)).state == "running":
            tell(progress)
            await anyio.sleep(_LOOK_SECONDS)
        return progress

    async def cancel(self, workspace: str) -> None:
        """Cancel the scan; there is no report of it. Raises NotFound (`scan-not-found`)."""
        await self._transport.send("DELETE", f"{_at(workspace)}/current")

    def list(self, workspace: str, *, page_size: int | None = None) -> Listing[ScanSummary]:
        """Return the scans that were made, newest first."""

        async def fetch(cursor: str | None) -> Page[ScanSummary]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[ScanSummary], "GET", _at(workspace), query=asked)

        return Listing(fetch)

    async def get(self, workspace: str, scan: str = "latest") -> ScanReport:
        """Return a report, with what is accepted now. Raises NotFound (`scan-not-found`)."""
        return await self._transport.fetch(ScanReport, "GET", f"{_at(workspace)}/{segment(scan, what='scan')}")

    async def file(self, workspace: str, scan: str = "latest", *, format: ScanFormat = "text") -> str:
        """Return a report as the text of a file: `text`, `json` or `sarif` (2.1.0). Raises as `get`."""
        path = f"{_at(workspace)}/{segment(scan, what='scan')}/file"
        return await self._transport.fetch_text("GET", path, query={"format": format})

    async def accept(self, workspace: str, finding: str, reason: str) -> AcceptedFinding:
        """Accept a finding of the newest report from now on. Raises NotFound (`finding-not-found`)."""
        path = f"{_at(workspace)}/accepted/{segment(finding, what='finding')}"
        return await self._transport.fetch(AcceptedFinding, "PUT", path, body=fill(FindingAccept, reason=reason))

    async def reopen(self, workspace: str, finding: str) -> None:
        """Accept a finding no longer. Raises NotFound (`finding-not-found`)."""
        await self._transport.send("DELETE", f"{_at(workspace)}/accepted/{segment(finding, what='finding')}")

    async def accepted(self, workspace: str) -> _AcceptedFindings:
        """Return the findings that were accepted."""
        return await self._transport.fetch(_AcceptedFindings, "GET", f"{_at(workspace)}/accepted")


def _at(workspace: str) -> str:
    return f"/jupyter/workspaces/{segment(workspace, what='workspace')}/scans"
