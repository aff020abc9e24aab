"""TCP ports of this machine: is one free, who has it, which one is."""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class PortOwner:
    """The process that listens on a port, as far as it can be seen."""

    pid: int
    name: str
    username: str


def why_unusable(addresses: Sequence[str], port: int) -> OSError | None:
    """Try to listen on each address (IPv4, IPv6 or a name) and return the first failure, None if all are free."""
    for address in addresses:
        try:
            _try_to_listen(address, port)
        except OSError as exc:
            return exc
    return None


def is_taken(error: OSError) -> bool:
    """Tell whether a failure to listen means that somebody else does."""
    return error.errno == errno.EADDRINUSE


def find_owner(port: int) -> PortOwner | None:
    """Return who listens on the port; None when that cannot be seen (another account's process)."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            try:
                process = psutil.Process(connection.pid)
                return PortOwner(process.pid, process.name(), process.username())
            except psutil.Error:
                return None
    return None


def find_free(addresses: Sequence[str], after: int) -> int | None:
    """Return the first free port above `after`, or None if the next hundred are taken."""
    candidates = range(after + 1, min(after + 101, 65536))
    return next((port for port in candidates if why_unusable(addresses, port) is None), None)


def _try_to_listen(address: str, port: int) -> None:
    family, kind, protocol, _, name = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # Without this, connections that just closed would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(name)
        probe.listen(1)
