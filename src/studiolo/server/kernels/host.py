"""Asks the kernel host."""

from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.server.http.beside import HostBeside
from studiolo.server.kernels.callers import HEADER

_SECONDS = 10.0
# As many as one may report by itself.
_MOST_KERNELS = 1000


class KernelHost(HostBeside):
    """The kernel host of this machine."""

    async def tell(self, path: str, body: Any = None) -> Any:
        """POST to `/_host/…`; returns the answer's JSON or None. Errors as of `ask`."""
        return await self.ask("POST", f"/_host/{path}", body=body)

    async def list_kernels(self, scope: str | None = None) -> list[dict[str, Any]]:
        """Return all kernels that run (of a scope), as in its reports. Errors as of `ask`."""
        found = await self.ask("GET", "/_host/kernels", params={"scope": scope} if scope else None)
        kernels = found.get("kernels") if isinstance(found, dict) else found
        if not isinstance(kernels, list):
            raise self.unavailable("a list of kernels is none")
        return [kernel for kernel in kernels if isinstance(kernel, dict)][:_MOST_KERNELS]

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
        headers = {HEADER: caller} if caller else {"X-Studiolo-Auth": "platform"}
        reply = await self.send(method, path, headers=headers, body=body, params=params, seconds=seconds)
        try:
            return reply.json() if reply.content else None
        except (ValueError, RecursionError) as exc:
            raise self.unavailable(f"an answer is no JSON: {exc}") from exc

    def unavailable(self, detail: str) -> Unavailable:
        """Return the error for a host that does not answer."""
        return Unavailable(
            "kernel-host-unavailable",
            "The part that carries kernels does not answer; kernels themselves run on.",
            hint="Try again in a few seconds. If it stays so, studiolo doctor says what is wrong.",
            detail=detail,
        )
