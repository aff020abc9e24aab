"""Asking Slurm's REST daemon, on a unix socket or over HTTP, with a token where it wants one."""

import asyncio
import json
import ssl
from typing import Any

import httpx

from studiolo.engines.slurm.commands import Answer, Runner, unavailable
from studiolo.engines.slurm.dialect import Command
from studiolo.engines.slurm.settings import RestSettings

DAEMON = "slurmrestd"
# The daemon lists all jobs of the cluster, some 3 KB each.
_ANSWER_BYTES = 128 * 1024**2
_AT_ONCE = 8


class RestClient(Runner):
    """Sends each Command as one request, for at most `timeout` seconds. What the daemon calls errors is its error."""

    def __init__(self, settings: RestSettings, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None

    async def run(self, command: Command) -> Answer:
        """See Runner.run."""
        _, method, path = command.argv
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send(method, path, command.stdin)
        except TimeoutError as exc:
            raise unavailable(f"{DAEMON} did not answer within {self._timeout:g} s", path) from exc
        except httpx.HTTPError as exc:
            raise unavailable(f"{DAEMON} cannot be reached", repr(exc)) from exc

    async def aclose(self) -> None:
        """See Runner.aclose."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _send(self, method: str, path: str, body: str) -> Answer:
        headers = self._headers() | ({"Content-Type": "application/json"} if body else {})
        async with self._connect().stream(method, path, content=body or None, headers=headers) as reply:
            held = bytearray()
            async for chunk in reply.aiter_raw():
                held += chunk
                if len(held) > _ANSWER_BYTES:
                    raise unavailable(f"{DAEMON} answers too much", path)
        text = held.decode(errors="replace")
        if reply.is_success:
            return Answer(0, text, "")
        return Answer(reply.status_code, text, _errors(text) or f"{DAEMON} answers {reply.status_code} to {path}")

    def _connect(self) -> httpx.AsyncClient:
        if self._client is None:
            url = self._settings.url
            socket = url.removeprefix("unix:") if url.startswith("unix:") else None
            # A connection that the daemon has closed meanwhile would lose a submission.
            limits = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=0)
            # Authorities that are not needed take 20 ms to load.
            is_tls = url.startswith("https:")
            verify = ssl.create_default_context() if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._client = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=socket, limits=limits, verify=verify),
                base_url=f"http://{DAEMON}" if socket else url,
                timeout=self._timeout,
                # Bodies as they are: their size is watched.
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            )
        return self._client

    def _headers(self) -> dict[str, str]:
        path, user = self._settings.token_file, self._settings.user
        if path is None or user is None:
            return {}
        try:
            return {"X-SLURM-USER-NAME": user, "X-SLURM-USER-TOKEN": path.read_text().strip()}
        except (OSError, UnicodeDecodeError) as exc:
            raise unavailable(
                "the token for slurmrestd cannot be read (engines.slurm.rest.token_file)", str(exc)
            ) from exc


def _errors(text: str) -> str:
    """Return what the daemon says went wrong, as Slurm's commands would print it; empty when it says nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    errors: Any = found.get("errors") if isinstance(found, dict) else None
    said = [one.get("description") or one.get("error") for one in errors or () if isinstance(one, dict)]
    words = "; ".join(word for word in said if isinstance(word, str))
    return f"{DAEMON}: error: {words}" if words else ""
