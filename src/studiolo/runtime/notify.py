"""Telling a supervisor that this process is ready, by the sd_notify protocol."""

import os
import socket


def tell_ready() -> None:
    """Send READY=1 to the datagram socket that NOTIFY_SOCKET names; nothing happens without one.

    Source: systemd, sd_notify(3).
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        # A leading @ stands for Linux's abstract namespace.
        notify.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)
