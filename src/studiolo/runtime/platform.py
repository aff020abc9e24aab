"""The way from a session's own server to the platform, with the key that its launch was given."""

import json
import os
from typing import Any

from tornado.simple_httpclient import SimpleAsyncHTTPClient

from studiolo.runtime.launch import LaunchRequest

_TIMEOUT_SECONDS = 5.0


class Platform:
    """Posts to `/api/v1/sessions/{id}/…` of the platform; one client for each that asks."""

    def __init__(self, request: LaunchRequest) -> None:
        self.is_known = bool(request.platform_url and request.api_key)
        self._url = f"{request.platform_url}/api/v1/sessions/{request.workload_id}"
        self._key = request.api_key
        self._client = SimpleAsyncHTTPClient(force_instance=True)

    async def post(self, what: str, form: dict[str, Any]) -> bytes:
        """Return the answer's body. Raises tornado's HTTPClientError, OSError or ValueError."""
        reply = await self._client.fetch(
            f"{self._url}/{what}",
            method="POST",
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            body=json.dumps(form),
            connect_timeout=_TIMEOUT_SECONDS,
            request_timeout=_TIMEOUT_SECONDS,
            follow_redirects=False,
            ca_certs=os.environ.get("STUDIOLO_CA_FILE"),
        )
        return reply.body
