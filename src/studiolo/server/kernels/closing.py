"""Close the kernels' websockets of logins, keys and memberships that ended."""

from collections.abc import Iterable
from functools import partial

import structlog

from studiolo.contract.errors import StudioloError
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.accounts.closing import TRY_SECONDS, Closer
from studiolo.server.kernels import queries
from studiolo.server.kernels.host import KernelHost

_log = structlog.get_logger(__name__)
_MOST = 1000


class KernelCloser(Closer):
    """Tells the kernel host which logins and keys ended."""

    def __init__(self, db: Database, clock: Clock, host: KernelHost) -> None:
        super().__init__(db, clock)
        self._host = host

    async def _close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        async with self._db.read() as connection:
            logins = await queries.list_credentials(connection, workspace_id, person_id)
            scopes = await queries.list_scopes(connection, workspace_id)
        await self._tell(logins, scopes)

    async def _close(self, person_id: str, logins: set[str]) -> None:
        await self._tell(logins)

    async def _tell(self, logins: set[str], scopes: Iterable[str] | None = None) -> None:
        """`scopes`: of the kernels that it is about; None: all."""
        names, where = sorted(logins), {} if scopes is None else {"scopes": sorted(scopes)}
        for begin in range(0, len(names), _MOST):
            body = {"logins": names[begin : begin + _MOST], **where}
            ask = partial(self._host.ask, "POST", "/_host/close", body=body, seconds=TRY_SECONDS)
            failed = await self._insist(ask, StudioloError)
            if isinstance(failed, StudioloError):
                _log.info("sockets-not-closed", why=failed.detail or failed.message)
