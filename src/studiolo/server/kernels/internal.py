"""What the kernel host asks and tells the control plane: `POST /_kernels/…` with the secret that both know."""

from datetime import datetime
from typing import Any

from studiolo.contract.errors import NotFound
from studiolo.server.http.beside import Questions
from studiolo.server.http.edge import MAX_BODY_BYTES
from studiolo.server.kernels.grounds import read_caller, read_wish
from studiolo.server.kernels.host import KernelHost
from studiolo.server.kernels.reports import HostReports
from studiolo.server.kernels.reservations import Reservations

PREFIX = "/_kernels/"


class KernelQuestions(Questions):
    """May a kernel start, and which there are."""

    prefix, asker = PREFIX, "kernel host"
    # A report names every kernel that runs.
    most_bytes = 16 * MAX_BODY_BYTES

    def __init__(self, host: KernelHost, reservations: Reservations, reports: HostReports) -> None:
        super().__init__(host)
        self._reservations = reservations
        self._reports = reports

    async def _answer(self, what: str, body: dict[str, Any]) -> dict[str, Any] | None:
        match what:
            case "reserve":
                return await self._reservations.reserve(read_caller(body["caller"]), read_wish(body["wish"]))
            case "specs":
                return await self._reservations.specs(read_caller(body["caller"]))
            case "elsewhere":
                return await self._reservations.list_elsewhere(read_caller(body["caller"]))
            case "started":
                await self._reports.started(body["id"], ok=bool(body["ok"]), message=str(body.get("message", "")))
                return None
            case "ended":
                ending = body["exit"]
                at = datetime.fromisoformat(ending["at"])
                await self._reports.end(body["id"], str(ending["reason"]), str(ending["message"]), at)
                return None
            case "report":
                return {"unwanted": await self._reports.report(body["kernels"])}
            case _:
                raise NotFound("route-not-found", "There is nothing at this address.")
