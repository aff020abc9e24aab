"""A server of kernels as any of its clients sees it: started for the benchmark, asked over HTTP."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from _http import Client

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class KernelService:
    """One running server of kernels: ours, or a peer.

    `pid`: the process that carries messages. `prefix`: what stands before `/api`. `starts_by`: `kernels`, or
    `sessions` for servers that know no `POST /api/kernels`. `body`: what is posted besides a path or name.
    """

    name: str
    client: Client
    headers: Mapping[str, str]
    pid: int
    prefix: str = ""
    starts_by: str = "kernels"
    host: str = "127.0.0.1"
    body: Mapping[str, Any] = field(default_factory=lambda: {"name": "python3"})

    def start(self) -> str:
        """Ask for a kernel; return its id as soon as it is named."""
        if self.starts_by == "kernels":
            return str(self._ask("POST", "/api/kernels", dict(self.body))["id"])
        path = f"bench-{next(_NUMBERS)}.ipynb"
        body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        return str(self._ask("POST", "/api/sessions", body)["kernel"]["id"])

    def stop(self, kernel: str) -> None:
        """End a kernel and wait for the answer."""
        if self.starts_by == "kernels":
            self._ask("DELETE", f"/api/kernels/{kernel}")
            return
        (session,) = (one["id"] for one in self._ask("GET", "/api/sessions") if one["kernel"]["id"] == kernel)
        self._ask("DELETE", f"/api/sessions/{session}")

    def settle(self) -> None:
        """Wait until all is ready for the next start. The peers have nothing to make ready."""

    def websocket_url(self, kernel: str, session: str) -> str:
        """Return where a client of a kernel connects."""
        return f"ws://{self.host}:{self.client.port}{self.prefix}/api/kernels/{kernel}/channels?session_id={session}"

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return self.client.ask(method, f"{self.prefix}{path}", body).json
