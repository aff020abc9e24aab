"""Close the kernels' websockets of logins, keys and memberships that ended."""

import asyncio
from collections.abc import Iterable
from functools import partial

import structlog

from studiolo.contract.errors import StudioloError
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.accounts.closing import TRY_SECONDS, Closer
from studiolo.server.kernels import queries
from studiolo.server.kernels.host import KernelHost
from studiolo.server.kernels.hosts import KernelHosts

_log = structlog.get_logger(__name__)
_MOST = 1000


class KernelCloser(Closer):
    """Tells the kernel hosts which logins and keys ended."""

    def __init__(self, db: Database, clock: Clock, hosts: KernelHosts) -> None:
        super().__init__(db, clock)
        self._hosts = hosts

    async def _close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        async with self._db.read() as connection:
            logins = await queries.list_credentials(connection, workspace_id, person_id)
            scopes = await queries.list_scopes(connection, workspace_id)
        beside = await self._hosts.elsewhere(workspace_id=workspace_id)
        telling = [self._tell(host, logins) for host in beside]
        await asyncio.gather(self._tell(self._hosts.here, logins, scopes), *telling)

    async def _close(self, person_id: str, logins: set[str]) -> None:
        hosts = [self._hosts.here, *await self._hosts.elsewhere(person_id=person_id)]
        await asyncio.gather(*(self._tell(host, logins) for host in hosts))

    async def _tell(self, host: KernelHost, logins: set[str], scopes: Iterable[str] | None = None) -> None:
        """`scopes`: of the kernels that it is about; None: all."""
        names, where = sorted(logins), {} if scopes is None else {"scopes": sorted(scopes)}
        for begin in range(0, len(names), _MOST):
            body = {"logins": names[begin : begin + _MOST], **where}
            ask = partial(host.ask, "POST", "/_host/close", body=body, seconds=TRY_SECONDS)
            failed = await self._insist(ask, StudioloError)
            if isinstance(failed, StudioloError):
                _log.info("sockets-not-closed", why=failed.detail or failed.message)
