"""A stand-in for the kernel host, on the socket where the control plane looks for it."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from studiolo.server.kernels import queries
from studiolo.server.services import Services
from supervisor.front_door import Seen, StandIn, serving

SPEC = {"argv": ["python"], "display_name": "Python 3", "language": "python", "metadata": {}}


@dataclass
class Host:
    """What it was asked, and what it answers. `kernels`: those that run, as in its reports."""

    kernels: list[dict[str, Any]] = field(default_factory=list)
    # The id that it tells for a kernel that is to start.
    starts: str = ""
    app: StandIn = field(default_factory=lambda: StandIn("host"))

    def __post_init__(self) -> None:
        self.app.answer = self.answer

    @property
    def told(self) -> list[str]:
        """Paths below `/_host/` that were posted to."""
        return [seen.path.removeprefix("/_host/") for seen in self.app.seen if seen.method == "POST"]

    def answer(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        found: Any = {}
        if seen.path == "/_host/kernels":
            found = {"kernels": self.kernels}
        elif seen.path.endswith("/api/kernels"):
            found = {"id": self.starts}
        elif seen.path.endswith("/api/kernelspecs"):
            found = {"default": "python3", "kernelspecs": {"python3": {"name": "python3", "spec": SPEC}}}
        elif seen.path.endswith("/studiolo/kernelspecs"):
            found = {"name": "big", "spec": SPEC}
        elif seen.path.endswith("/log"):
            found = {"lines": ["a line"]}
        elif seen.path.endswith("/journal"):
            found = {"last": 2, "next": 2, "more": False, "entries": [{"number": 1}, {"number": 2}]}
        return 200, {"content-type": "application/json"}, json.dumps(found).encode()


@contextlib.asynccontextmanager
async def standing_in(services: Services) -> AsyncIterator[Host]:
    """Run a stand-in beside the control plane; the run directory's path must be short."""
    services.settings.runtime_dir.mkdir(mode=0o700, exist_ok=True)
    host = Host()
    async with serving(host.app, services.settings.kernels_socket):
        yield host


async def add_kernel(services: Services, workspace_id: str, person_id: str, **values: Any) -> str:
    """Write a kernel that runs; returns its id."""
    kernel_id, now = str(uuid.uuid4()), services.clock.now()
    row = {
        "id": kernel_id,
        "scope": workspace_id,
        "workspace_id": workspace_id,
        "person_id": person_id,
        "spec": "python3",
        "display_name": "Python 3",
        "state": "idle",
        "created_at": now,
        "started_at": now,
        **values,
    }
    async with services.db.write() as tx:
        await queries.insert_kernel(tx.connection, row)
    return kernel_id
