"""Backups of the platform; for administrators."""

import anyio

from studiolo.contract import backups as wire
from studiolo.sdk.transport import Transport

_PATH = "/admin/backups"
_LOOK_SECONDS = 0.5


class Backups:
    """Backups on the platform's machine. They are restored there: `studiolo restore`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> wire.Backups:
        """Return those there are, newest first, and how the one that is being made goes."""
        return await self._transport.fetch(wire.Backups, "GET", _PATH)

    async def start(self) -> wire.BackupProgress:
        """Begin one; the platform goes on meanwhile. Raises Conflict (`backup-running`)."""
        return await self._transport.fetch(wire.BackupProgress, "POST", _PATH)

    async def wait(self) -> wire.Backups:
        """Wait until the one that is being made has ended; `current.state` says how."""
        while True:
            found = await self.list()
            if found.current is None or found.current.state != "running":
                return found
            await anyio.sleep(_LOOK_SECONDS)

    async def cancel(self) -> None:
        """Cancel the one that is being made; nothing of it stays. Raises NotFound (`backup-not-found`)."""
        await self._transport.send("DELETE", f"{_PATH}/current")
