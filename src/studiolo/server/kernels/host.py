"""Asks the kernel host, over its unix socket, with the secret that both know."""

from pathlib import Path
from typing import Any

import httpx

from studiolo.contract.errors import KINDS, StudioloError, Unavailable
from studiolo.kit.local_http import local_client
from studiolo.server.kernels.callers import HEADER
from studiolo.server.kernels.host_secret import load_host_secret

SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105
_SECONDS = 10.0


class KernelHost:
    """One host of this machine; every call is one request, nothing is kept between them."""

    def __init__(self, socket: Path, key_file: Path) -> None:
        self._socket = socket
        self._key_file = key_file

    @property
    def upstream(self) -> str:
        """Where the front door finds it."""
        return f"unix/{self._socket}"

    @property
    def secret(self) -> str:
        """The secret, as it is now."""
        return load_host_secret(self._key_file)

    async def tell(self, path: str, body: Any = None) -> Any:
        """POST to `/_host/…`; returns the answer's JSON or None. Errors as of `ask`."""
        return await self.ask("POST", f"/_host/{path}", body=body)

    async def list_kernels(self, scope: str | None = None) -> list[dict[str, Any]]:
        """Return all kernels that run (of a scope), as in its reports. Errors as of `ask`."""
        found = await self.ask("GET", "/_host/kernels", params={"scope": scope} if scope else None)
        return list(found["kernels"] if isinstance(found, dict) else found)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        caller: str | None = None,
        body: Any = None,
        params: dict[str, Any] | None = None,
        seconds: float = _SECONDS,
    ) -> Any:
        """Send one request, for `caller` (see callers) or the platform itself; return the answer's JSON or None.

        Raises the StudioloError that the host answers, Unavailable (`kernel-host-unavailable`) without an answer.
        """
        headers = {"Host": "localhost"} | ({HEADER: caller} if caller else {"X-Studiolo-Auth": "platform"})
        try:
            headers[SECRET_HEADER] = self.secret
            async with local_client(self._socket, seconds=seconds) as client:
                reply = await client.request(
                    method, f"http://localhost{path}", headers=headers, json=body, params=params
                )
        except (httpx.HTTPError, OSError) as exc:
            raise _unavailable(str(exc)) from exc
        if reply.is_success:
            return reply.json() if reply.content else None
        raise _error(reply)


def _error(reply: httpx.Response) -> StudioloError:
    """Turn a problem reply back into the error that it is."""
    try:
        told = reply.json()
        kind, extra = KINDS[told["kind"]], {"errors": told["errors"]} if "errors" in told else {}
        return kind(told["code"], told.get("detail") or told["title"], hint=told.get("hint"), **extra)
    except (ValueError, KeyError, TypeError):
        return _unavailable(f"{reply.status_code}: {reply.text[:200]}")


def _unavailable(detail: str) -> Unavailable:
    return Unavailable(
        "kernel-host-unavailable",
        "The part that carries kernels does not answer; kernels themselves run on.",
        hint="Try again in a few seconds. If it stays so, studiolo doctor says what is wrong.",
        detail=detail,
    )
