"""Readiness by the sd_notify protocol: datagrams of NAME=value lines on a unix socket named by NOTIFY_SOCKET.

Source: systemd, sd_notify(3).
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_MAX_DATAGRAM = 65536
VARIABLE = "NOTIFY_SOCKET"


def notify(**assignments: str) -> None:
    """Tell whoever started this process, for example `notify(READY="1")`; nothing happens if nobody listens."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return
    message = "\n".join(f"{name}={value}" for name, value in assignments.items())
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(message.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)


class NotifyReceiver:
    """A socket that one started process reports to: put `path` into its NOTIFY_SOCKET. A context manager.

    Raises OSError on entry if the socket cannot be made (path too long, folder gone).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        try:
            self.path.unlink(missing_ok=True)
            self._socket.bind(str(self.path))
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    async def receive(self) -> Mapping[str, str]:
        """Wait for the next message and return its assignments."""
        data = await asyncio.get_running_loop().sock_recv(self._socket, _MAX_DATAGRAM)
        lines = data.decode(errors="replace").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
