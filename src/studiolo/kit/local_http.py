"""Asking processes of this machine by HTTP."""

import ssl
from pathlib import Path

import httpx

# They have no certificates; to load the usual ones would take 20 ms of each request.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def way_to(upstream: str) -> tuple[str | None, str]:
    """Return socket (None: over the network) and base address of a Caddy upstream, `unix//path` or `host:port`."""
    path = upstream.removeprefix("unix/")
    return (path, "http://localhost") if path != upstream else (None, f"http://{upstream}")


def local_client(socket: str | Path | None, *, seconds: float) -> httpx.AsyncClient:
    """Return a client that asks over a unix socket (None: over the network), never by a proxy of the environment.

    `seconds`: the longest that connecting, sending and each wait for an answer may take.
    """
    path = None if socket is None else str(socket)
    transport = httpx.AsyncHTTPTransport(uds=path, verify=_NO_CERTIFICATES)
    return httpx.AsyncClient(transport=transport, timeout=seconds, trust_env=False)
