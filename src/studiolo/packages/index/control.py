"""What the index host asks and tells the control plane: `POST /_index/…` on its socket, with the secret of both."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from studiolo.contract.errors import Unavailable
from studiolo.contract.problems import error_of
from studiolo.kit.local_http import local_client
from studiolo.packages.index.callers import SECRET_HEADER


class ControlPlane:
    """The control plane of this platform."""

    def __init__(self, socket: Path, secret: str) -> None:
        self._socket = socket
        self._headers = {"Host": "localhost", "X-Studiolo-Question": "1", SECRET_HEADER: secret}

    async def ask(self, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask or tell one thing; return the answer. Raises what it answers, Unavailable (`control-plane-unreachable`).

        `policies/{hash}` answers {policy: its JSON text}; `deliveries` takes {entries: [...]}, see `reporting`.
        """
        try:
            async with local_client(self._socket, seconds=30) as client:
                reply = await client.post(f"http://localhost/_index/{what}", json=body, headers=self._headers)
            found = reply.json() if reply.content else {}
        except (httpx.HTTPError, OSError, ValueError) as exc:
            raise _unreachable(repr(exc)) from exc
        if not reply.is_success or not isinstance(found, dict):
            raise error_of(found) or _unreachable(f"{reply.status_code}: {reply.text[:200]}")
        return found


def _unreachable(detail: str) -> Unavailable:
    return Unavailable(
        "control-plane-unreachable", "The platform does not answer.", hint="Try again in a moment.", detail=detail
    )
