"""Where this process may connect to on behalf of somebody: outside addresses, and inside ones opened by name."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from studiolo.contract.errors import InvalidInput

_LOOK_UP_SECONDS = 10.0


async def resolve_outside(host: str, port: int, allow: Sequence[str]) -> str:
    """Return the address to connect to for `host`; connect to it and no other, since names change their minds.

    `allow`: `host:port` of inside hosts that were opened. Raises InvalidInput (`egress-refused`): the same for what
    is inside, unknown or does not resolve, so that nobody can explore the network by it.
    """
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as exc:
        raise _refused(host, port) from exc
    addresses = [str(address[0]) for *_, address in found]
    is_open = f"{host}:{port}".lower() in (name.lower() for name in allow)
    if not addresses or not (is_open or all(map(is_outside, addresses))):
        raise _refused(host, port)
    return addresses[0]


def is_outside(address: str) -> bool:
    """Tell whether an address belongs to the public internet; one that holds an IPv4 address is judged by that."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        held = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if held is not None:
            return is_outside(str(held))
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_outside(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


def _refused(host: str, port: int) -> InvalidInput:
    return InvalidInput(
        "egress-refused",
        f"The platform does not connect to {host[:200]}, port {port}.",
        hint="Check the name. An administrator can open an inside host: the setting egress.allow.",
    )
