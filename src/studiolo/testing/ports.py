"""Ports for tests' own servers."""

import random
import socket

# Below those that the system takes for connections (32768 and up): one of these could be gone when it is wanted.
_PORTS = range(20000, 32000)
# Runs side by side do not draw the same, whatever tests do to the shared generator.
_draw = random.SystemRandom()


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on now."""
    while True:
        port = _draw.choice(_PORTS)
        with socket.socket() as probe:
            # As servers do: what an ended one left waiting does not keep the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
