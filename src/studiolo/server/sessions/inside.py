"""What the platform itself asks of a session's server, past the front door, with the launch's secret."""

from typing import Any

import httpx

from studiolo.kit.local_http import local_client, way_to


async def ask_session(
    session_id: str, upstream: str, secret: str, action: str, body: dict[str, Any], *, seconds: float
) -> httpx.Response:
    """POST `body` to `/s/{id}/studiolo/{action}` at a Caddy upstream (`unix//path` or `host:port`).

    Raises httpx.HTTPError when there is no answer within `seconds`, or none of success.
    """
    socket, base = way_to(upstream)
    headers = {"X-Studiolo-Secret": secret, "X-Studiolo-Auth": "platform", "Host": "localhost"}
    async with local_client(socket, seconds=seconds) as client:
        reply = await client.post(f"{base}/s/{session_id}/studiolo/{action}", headers=headers, json=body)
    return reply.raise_for_status()
