"""Connection files of kernels, and whether a kernel has bound what its file names."""

import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from studiolo.runtime.kernelrequest import RunFiles

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
_LOOPBACK = "127.0.0.1"
# What systems take as a unix socket's address, without the zero at its end.
_LONGEST_ADDRESS = 107 if sys.platform == "linux" else 103
_PATIENCE_SECONDS = 0.2


def new_connection(files: RunFiles, kernel_name: str) -> dict[str, Any]:
    """Return a connection with a fresh key, for sockets in the run folder.

    Transport `ipc`, or `tcp` where the folder's path is too long for unix sockets: those in a private folder are out
    of other accounts' reach, TCP on loopback is open to all of them. Source: jupyter_client, "Connection files".
    """
    is_short = not is_too_long(files)
    ports = range(1, len(PORTS) + 1) if is_short else _free_ports(len(PORTS))
    return {
        **dict(zip(PORTS, ports, strict=True)),
        "transport": "ipc" if is_short else "tcp",
        "ip": str(files.sockets) if is_short else _LOOPBACK,
        "key": secrets.token_hex(32),
        "signature_scheme": "hmac-sha256",
        "kernel_name": kernel_name,
    }


def is_too_long(files: RunFiles) -> bool:
    """Tell whether the paths of unix sockets there would be longer than systems take."""
    return len(os.fsencode(files.sockets)) + len("-1") > _LONGEST_ADDRESS


def write_connection(files: RunFiles, connection: Mapping[str, Any]) -> None:
    """Write the connection file, readable by this account alone. Raises OSError."""
    descriptor = os.open(files.connection, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(connection, file)


def is_bound(connection: Mapping[str, Any]) -> bool:
    """Tell whether somebody listens on all of the connection's sockets."""
    if connection["transport"] == "ipc":
        return all(Path(f"{connection['ip']}-{connection[port]}").exists() for port in PORTS)
    try:
        for port in PORTS:
            socket.create_connection((connection["ip"], connection[port]), _PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listened on just now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((_LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]
