"""Asking the platform at its own address, from its own machine."""

import contextlib
import http.client
import json
import ssl
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.server.settings import Settings
from studiolo.server.supervisor.caddyfile import listen_addresses

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 compared, not bound


def ask(settings: Settings, path: str, *, key: str | None = None, timeout_seconds: float = 15) -> tuple[int, Any]:
    """GET a path through the front door; return status and JSON (None if it is none).

    Connects to this machine whatever the name resolves to, and does not check the certificate for that reason.
    Raises Unavailable (`control-plane-unreachable`).
    """
    headers = {"Host": settings.address.partition("://")[2], "Accept": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    connection = _connection(settings, timeout_seconds)
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException) as exc:
        raise Unavailable(
            "control-plane-unreachable",
            f"The platform does not answer at {settings.address}: {exc}.",
            hint="studiolo doctor",
        ) from exc
    finally:
        connection.close()
    with contextlib.suppress(ValueError):
        return reply.status, json.loads(body)
    return reply.status, None


def _connection(settings: Settings, timeout_seconds: float) -> http.client.HTTPConnection:
    address = listen_addresses(settings)[0]
    address = _ANYWHERE.get(address, address)
    if not settings.listens_with_tls:
        return http.client.HTTPConnection(address, settings.port, timeout=timeout_seconds)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _NamedHTTPSConnection(settings.domain, address, settings.port, timeout=timeout_seconds, context=context)


class _NamedHTTPSConnection(http.client.HTTPSConnection):
    """Connects to one address and asks for the certificate of another name."""

    def __init__(self, name: str, address: str, port: int, *, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(address, port, timeout=timeout, context=context)
        self._name = name
        self._tls = context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
