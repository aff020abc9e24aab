"""Kernels for tests: a launcher with its folders, and a client of Jupyter's own."""

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any, cast

from jupyter_client.asynchronous.client import AsyncKernelClient

from studiolo.gateway.base import KernelExit, KernelPlan
from studiolo.gateway.starting.launching import LocalLauncher, LocalProcess
from studiolo.runtime.kernelrequest import KernelFiles
from studiolo.runtime.launch import read_json

SECONDS = 30


class Bench:
    """A launcher with its folders; ends what was started. `spares`: None for kernels that are exec'd."""

    def __init__(self, folder: Path, sockets: Path, environment: Path, spares: int | None) -> None:
        self.folder = folder
        self.sockets = sockets
        self.environment = environment
        self.spares = spares
        self.launcher = self.another()
        self.started: list[LocalProcess] = []

    def another(self) -> LocalLauncher:
        """Return the launcher of a later host."""
        return LocalLauncher(self.folder / "kernels", self.sockets, spares=self.spares or 0)

    def plan(self, **changes: Any) -> KernelPlan:
        """Return a plan for an ipykernel with a fresh id."""
        values: dict[str, Any] = {
            "kernel_id": str(uuid.uuid4()),
            "scope": "w-0000000000000001",
            "spec_name": "python3",
            "argv": (str(self.environment / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"),
            "environment": None if self.spares is None else self.environment,
            "folder": self.folder,
            "variables": {"PATH": os.environ["PATH"], "HOME": str(self.folder), "IPYTHONDIR": str(self.folder / "i")},
        }
        return KernelPlan(**(values | changes))

    async def start(self, plan: KernelPlan) -> LocalProcess:
        process = await self.launcher.start(plan)
        self.started.append(process)
        return process

    async def close(self) -> None:
        """End all kernels that were started, and let go of kernel servers."""
        for process in self.started:
            await process.stop(grace_seconds=0)
            await ended(process)
        await self.launcher.aclose()
        assert not list(self.sockets.glob("*/c-*"))

    def files(self, process: LocalProcess) -> KernelFiles:
        return KernelFiles(self.folder / "kernels" / process.kernel_id)

    def shim(self, process: LocalProcess) -> int:
        return int((read_json(self.files(process).shim) or {})["pid"])


async def ended(process: LocalProcess) -> KernelExit:
    async with asyncio.timeout(SECONDS):
        return await process.wait()


async def run(process: LocalProcess, code: str, heard: asyncio.Event | None = None) -> str:
    """Run one cell with Jupyter's own client; returns what it printed, or its error's value. Sets `heard` by it."""
    client = client_of(process)
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        said.append(message["content"].get("text") or message["content"].get("evalue") or "")
        if heard and said[-1]:
            heard.set()

    try:
        await client.wait_for_ready(timeout=SECONDS)
        await client.execute_interactive(code, output_hook=hear, timeout=SECONDS)
    finally:
        client.stop_channels()
    return "".join(said)


def client_of(process: LocalProcess) -> AsyncKernelClient:
    """Return Jupyter's own client of a kernel; its channels are to be stopped."""
    client = AsyncKernelClient()
    client.load_connection_info(cast(Any, dict(process.connection)))
    client.start_channels()
    return client
