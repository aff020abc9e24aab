"""What the kernel host asks and tells the control plane: `POST /_kernels/…` with the secret that both know."""

from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from studiolo.contract.errors import InvalidInput, NotFound, StudioloError
from studiolo.server.http.beside import read_question
from studiolo.server.http.edge import MAX_BODY_BYTES, Receive, Scope, Send
from studiolo.server.http.problems import problem
from studiolo.server.kernels.grounds import read_caller, read_wish
from studiolo.server.kernels.host import KernelHost
from studiolo.server.kernels.reports import HostReports
from studiolo.server.kernels.reservations import Reservations

PREFIX = "/_kernels/"
# A report names every kernel that runs.
_MOST_BYTES = 16 * MAX_BODY_BYTES


class KernelQuestions:
    """A bare ASGI application; errors leave as problem replies, which the host passes on to its clients."""

    def __init__(self, host: KernelHost, reservations: Reservations, reports: HostReports) -> None:
        self._host = host
        self._reservations = reservations
        self._reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question of the host's."""
        try:
            self._host.check_secret(scope)
            answer = await self._answer(
                scope["path"].removeprefix(PREFIX), await read_question(receive, most_bytes=_MOST_BYTES)
            )
        except StudioloError as exc:
            await problem(exc)(scope, receive, send)
            return
        except (KeyError, TypeError, ValueError) as exc:
            told = InvalidInput("request-invalid", "The kernel host's question is not understood.", detail=repr(exc))
            await problem(told)(scope, receive, send)
            return
        reply = Response(status_code=204) if answer is None else JSONResponse(answer)
        await reply(scope, receive, send)

    async def _answer(self, what: str, body: dict[str, Any]) -> dict[str, Any] | None:
        match what:
            case "reserve":
                return await self._reservations.reserve(read_caller(body["caller"]), read_wish(body["wish"]))
            case "specs":
                return await self._reservations.specs(read_caller(body["caller"]))
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
