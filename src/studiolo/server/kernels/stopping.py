"""Ends headless kernels that nobody wants any more; the host is told at once, and again at each of its reports."""

import asyncio
from collections.abc import Iterable
from typing import Any

from studiolo.contract.errors import StudioloError
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.keys import Keys
from studiolo.server.kernels import queries
from studiolo.server.kernels.host import KernelHost


class KernelStopper:
    """The wish is durable before anything ends; a host that is away hears of it when it is back."""

    def __init__(self, db: Database, keys: Keys, host: KernelHost) -> None:
        self._db = db
        self._keys = keys
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop_all(self, tx: Transaction, workspace_id: str, person_id: str | None, reason: dict[str, Any]) -> None:
        """Want the headless kernels of a workspace (of one person) stopped; their keys end with this."""
        ids = await queries.want_stopped(tx.connection, workspace_id, person_id, reason)
        if ids:
            await self._keys.revoke_kernel_keys(tx, ids)
            tx.after_commit(lambda: self._begin(ids))

    async def stop_everything(self, reason: dict[str, Any]) -> int:
        """Want all headless kernels stopped, for a platform that goes down with them; returns how many."""
        async with self._db.write() as tx:
            ids = await queries.want_stopped(tx.connection, None, None, reason)
            await self._keys.revoke_kernel_keys(tx, ids)
        await self._stop(ids)
        return len(ids)

    async def count_left(self) -> int:
        """Number of headless kernels that are to stop and have not yet."""
        async with self._db.read() as connection:
            return len([row for row in await queries.list_alive(connection) if row["stop_reason"] is not None])

    async def drain(self) -> None:
        """Wait until the host has answered, for a process that ends now."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, ids: list[str]) -> None:
        task = asyncio.get_running_loop().create_task(self._stop(ids))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop(self, ids: Iterable[str]) -> None:
        for kernel_id in ids:
            try:
                await self._host.tell(f"kernels/{kernel_id}/stop")
            except StudioloError:
                # It has ended meanwhile, or the next report says that nobody wants it.
                continue
