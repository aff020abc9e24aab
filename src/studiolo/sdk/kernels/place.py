"""Where Jupyter's kernel API is, and requests to it."""

import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from studiolo.contract.errors import NotFound, Unavailable
from studiolo.sdk.address import is_loopback
from studiolo.sdk.credentials import find_credentials
from studiolo.sdk.kernel_channels import KernelAddress
from studiolo.sdk.kernels.apart import apart
from studiolo.sdk.problems import error_from
from studiolo.sdk.transport import is_distrusted, refuse_to_send_openly, segment, trust, unreachable

_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class KernelPlace:
    """The root under which `api/kernels` lies, with its slash, and the key for it. Any Jupyter server has one."""

    root: str
    key: str | None = field(default=None, repr=False)
    trust: ssl.SSLContext | bool = True

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request to `api/` + `path` and return the answer's JSON, None where it has none.

        Raises what the service says, and Unavailable (`kernel-unreachable`) where none answers.
        """
        reply = await apart(lambda: self._send(method, path, body))
        if not reply.is_success:
            raise error_from(reply)
        return reply.json() if reply.content else None

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            with httpx.Client(
                headers=headers,
                verify=self.trust,
                trust_env=not is_loopback(self.root),
                timeout=httpx.Timeout(_PATIENCE_SECONDS, connect=5.0),
            ) as client:
                return client.request(method, f"{self.root}api/{path}", json=body)
        except httpx.TransportError as exc:
            if is_distrusted(exc):
                raise unreachable(self.root.rstrip("/"), exc) from exc
            raise Unavailable(
                "kernel-unreachable",
                f"Nothing that has kernels answers at {self.root}.",
                hint="Check the address; it ends where `api/kernels` begins. A key may be needed too.",
                detail=str(exc),
            ) from exc

    async def find(self, kernel_id: str) -> dict[str, Any] | None:
        """Return Jupyter's model of a kernel, None if there is none of this id."""
        try:
            model: dict[str, Any] = await self.ask("GET", f"kernels/{quote(kernel_id, safe='')}")
        except NotFound:
            return None
        return model

    def address(self, kernel_id: str) -> KernelAddress:
        """Return where a kernel's channels are."""
        return KernelAddress(self.root, kernel_id, self.key, self.trust)


def find_place(url: str = "", key: str = "", workspace: str = "") -> KernelPlace:
    """Return where to ask for kernels.

    `url`: a platform, a stand-alone gateway, a workspace's or session's root there (`https://…/w/churn/`), or any
    Jupyter server; empty: as `studiolo.sdk.credentials` finds it, and so is an empty `key`. `workspace`: id,
    `owner/name` or name, on a platform. Raises NotSignedIn (`not-configured`), InvalidInput (`address-insecure`).
    """
    parts = urlsplit(url if "://" in url or not url else f"https://{url}")
    credentials = find_credentials(f"{parts.scheme}://{parts.netloc}" if url else None, key or None)
    if credentials.key:
        refuse_to_send_openly(credentials.url)
    path = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
    if workspace:
        path += f"w/{segment(workspace, what='workspace')}/"
    return KernelPlace(f"{credentials.url}/{path}", credentials.key, trust(credentials))
