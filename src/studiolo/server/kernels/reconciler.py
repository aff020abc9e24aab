"""Brings rows and host together: what the host does not know has ended, what nobody wants ends, old rows go."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from studiolo.contract.errors import StudioloError
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.server.kernels import queries
from studiolo.server.kernels.hosts import KernelHosts
from studiolo.server.kernels.reports import CONCLUDED, HostReports
from studiolo.server.sessions import queries as session_queries
from studiolo.server.settings.kernels import KernelSettings

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 15.0
# Beyond its start's own limit, the host tells that a kernel did not start.
_MARGIN = timedelta(seconds=30)


class KernelReconciler:
    """Looks now and then. While the host does not answer, nothing is concluded (promise R6).

    `hint`: has whoever looks after sessions look at one, a place that was deleted.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        hosts: KernelHosts,
        reports: HostReports,
        settings: KernelSettings,
        hint: Callable[[str], None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._hosts = hosts
        self._reports = reports
        self._settings = settings
        self._hint = hint

    async def look_forever(self) -> None:
        """Look every quarter of a minute."""
        await repeat(self.look, every_seconds=_EVERY_SECONDS, failed="kernels-not-looked-at")

    async def look(self) -> None:
        """Look once. Raises nothing for a host that is away."""
        async with self._db.read() as connection:
            alive = await queries.list_alive(connection)
            launches = await session_queries.list_launches_alive(connection)
        await self._forget()
        try:
            told = await self._hosts.here.list_kernels()
        except StudioloError:
            return
        known, elsewhere = {str(kernel["id"]) for kernel in told}, await self._hosts.scopes_elsewhere()
        for row in alive:
            if row["scope"] in elsewhere:
                # Their own host reports them.
                continue
            if row["id"] not in known and self._is_overdue(row["created_at"], started=row["started_at"] is not None):
                code, words = (CONCLUDED, "It ended, and nobody saw how.")
                if row["session_id"] is not None and row["scope"] not in launches:
                    code, words = "session-ended", "It ended with its session."
                elif row["started_at"] is None:
                    code, words = "not-started", "It was never started."
                _log.info("kernel-concluded", kernel=row["id"], reason=code)
                await self._reports.end(row["id"], code, words, self._clock.now())
        for kernel_id in await self._reports.report(told):
            await self._hosts.here.tell(f"kernels/{kernel_id}/stop")

    def _is_overdue(self, created_at: datetime, *, started: bool) -> bool:
        return started or self._clock.now() - created_at > self._settings.start_timeout + _MARGIN

    async def _forget(self) -> None:
        now = self._clock.now()
        before = now - self._settings.keep_ended
        async with self._db.write(durable=False) as tx:
            await queries.forget_ended(tx.connection, before)
            places = await queries.forget_places(tx.connection, before, now)
        for place in places:
            # What its engine keeps of it goes too.
            self._hint(place)
