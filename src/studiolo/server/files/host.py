"""Asks the file host."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.server.http.beside import HostBeside

_SECONDS = 60.0


class FileHost(HostBeside):
    """The file host of this machine."""

    async def ask(self, what: str, folder: Path, asked: Mapping[str, Any]) -> bytes:
        """Return the answer to `GET /_host/{what}` about a workspace's folder, JSON. `asked`: None is left out.

        Raises the StudioloError that the host answers, Unavailable (`file-host-unavailable`).
        """
        params = {"folder": str(folder)} | {name: value for name, value in asked.items() if value is not None}
        return (await self.send("GET", f"/_host/{what}", params=params, seconds=_SECONDS)).content

    def unavailable(self, detail: str) -> Unavailable:
        """Return the error for a host that does not answer."""
        return Unavailable(
            "file-host-unavailable",
            "The part that carries files does not answer; nothing was changed.",
            hint="Try again in a few seconds. If it stays so, studiolo doctor says what is wrong.",
            detail=detail,
        )
