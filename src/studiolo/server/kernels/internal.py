"""What the kernel host asks and tells the control plane: `POST /_kernels/…` with the secret that both know."""

import hmac
import json
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from studiolo.contract.errors import InvalidInput, NotFound, StudioloError, Unavailable
from studiolo.server.http.edge import MAX_BODY_BYTES, Receive, Scope, Send
from studiolo.server.http.problems import problem
from studiolo.server.kernels.grounds import read_caller, read_wish
from studiolo.server.kernels.host import SECRET_HEADER, KernelHost
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
            self._check_secret(scope)
            answer = await self._answer(scope["path"].removeprefix(PREFIX), await _read(receive))
        except StudioloError as exc:
            await problem(exc)(scope, receive, send)
            return
        except (KeyError, TypeError, ValueError) as exc:
            told = InvalidInput("request-invalid", "The kernel host's question is not understood.", detail=repr(exc))
            await problem(told)(scope, receive, send)
            return
        reply = Response(status_code=204) if answer is None else JSONResponse(answer)
        await reply(scope, receive, send)

    def _check_secret(self, scope: Scope) -> None:
        given = [value for name, value in scope["headers"] if name == SECRET_HEADER.lower().encode()]
        try:
            secret = self._host.secret.encode()
        except OSError as exc:
            raise Unavailable("run-directory-unusable", "The hosts' secret cannot be read.", detail=str(exc)) from exc
        if len(given) != 1 or not hmac.compare_digest(given[0], secret):
            raise NotFound("route-not-found", "There is nothing at this address.")

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


async def _read(receive: Receive) -> dict[str, Any]:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            raise InvalidInput("request-too-large", "The kernel host's question is too large.")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found
