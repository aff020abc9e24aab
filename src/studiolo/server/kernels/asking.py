"""Asks the kernel hosts beside sessions elsewhere that were not heard, as all are when the control plane starts."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.errors import StudioloError
from studiolo.kit.clock import Clock
from studiolo.kit.repeat import repeat
from studiolo.server.kernels.hosts import KernelHosts
from studiolo.server.kernels.inside import InsideHosts
from studiolo.server.sessions.reports import Reports

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 15.0
_AT_ONCE = 16
_ANSWER_SECONDS = 15.0
# Hosts report once a minute; one that cannot is asked instead.
_UNHEARD = timedelta(seconds=150)


class HostAsking:
    """What a host answers is taken as its report: so its kernels are known also without a way back from there."""

    def __init__(self, clock: Clock, hosts: KernelHosts, inside: InsideHosts, reports: Reports) -> None:
        self._clock = clock
        self._hosts = hosts
        self._inside = inside
        self._reports = reports

    async def ask_forever(self) -> None:
        """Ask now, and those that are not heard again and again."""
        await repeat(self.ask, every_seconds=_EVERY_SECONDS, failed="hosts-not-asked")

    async def ask(self) -> None:
        """Ask each that was not heard lately, once. Raises nothing for one that does not answer."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def ask(scope: str, row: RowMapping) -> None:
            async with slots:
                # It may have reported while others were asked.
                if self._is_unheard(scope):
                    await self._ask(scope, row)

        reachable = await self._hosts.list_reachable()
        await asyncio.gather(*(ask(scope, row) for scope, row in reachable.items() if self._is_unheard(scope)))

    async def _ask(self, scope: str, row: RowMapping) -> None:
        try:
            host = await self._hosts.of_session(row)
            if host is None or host is self._hosts.here:
                return
            # One that answers byte by byte keeps nobody else waiting.
            async with asyncio.timeout(_ANSWER_SECONDS):
                kernels = await host.list_kernels()
            for kernel_id in await self._inside.learn(row["id"], kernels):
                await host.tell(f"kernels/{kernel_id}/stop")
        except (StudioloError, TimeoutError) as exc:
            _log.info("host-not-heard", launch=scope, message=str(exc))

    def _is_unheard(self, scope: str) -> bool:
        at = self._reports.heard_at(scope)
        return at is None or self._clock.now() - at > _UNHEARD
