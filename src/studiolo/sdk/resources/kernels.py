"""Kernels: of sessions, and headless ones that a workspace runs without JupyterLab."""

from builtins import list as list_of
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from studiolo.contract.kernels import (
    KernelInfo,
    KernelLog,
    KernelOutput,
    KernelSpecCreate,
    KernelSpecInfo,
    KernelStart,
    KernelState,
)
from studiolo.contract.models import Page
from studiolo.contract.resources import Resources
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment

_PATH = "/kernels"
# One question while nothing is put out.
_HOLD_SECONDS = 20.0


class Kernels:
    """List, start, interrupt, restart and stop kernels, and read what they put out. A kernel is named by its id."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        workspace: str | None = None,
        session: str | None = None,
        states: Sequence[KernelState] = (),
        everyone: bool = False,
        page_size: int | None = None,
    ) -> Listing[KernelInfo]:
        """Return your kernels that have not ended, newest first; of a `workspace` or `session`: everybody's there.

        `states`: those in these only, `ended` among them. `everyone`: those of others too, wherever you can see them.
        """

        async def fetch(cursor: str | None) -> Page[KernelInfo]:
            asked = {
                "workspace": workspace,
                "session": session,
                "state": list_of(states) or None,
                "all": "true" if everyone else None,
                "limit": page_size,
                "cursor": cursor,
            }
            return await self._transport.fetch(Page[KernelInfo], "GET", _PATH, query=asked)

        return Listing(fetch)

    async def start(
        self,
        workspace: str,
        *,
        name: str | None = None,
        path: str | None = None,
        engine: str | None = None,
        profile: str | None = None,
        resources: Resources | Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> KernelInfo:
        """Start a headless kernel in a workspace (id, `owner/name` or name) and return it once it runs.

        `name`: its kernelspec. `path`: folder or notebook that it works for, relative to the workspace. `engine`: where
        it runs, None: as the workspace. `profile` and `resources`: as of sessions. Raises NotFound
        (`kernelspec-not-found`), LimitReached (`too-many-kernels`, `limit-exceeded`), InvalidInput (`engine-unknown`,
        `engine-without-kernels`), Unavailable (`environment-not-ready`, `kernel-not-started`; `kernel-place-pending`
        while it waits in a queue: asking again finds its place).
        """
        body = fill(
            KernelStart,
            workspace=workspace,
            name=name,
            path=path,
            engine=engine,
            profile=profile,
            resources=resources,
            variables=variables,
        )
        return await self._transport.fetch(KernelInfo, "POST", _PATH, body=body)

    async def get(self, kernel: str) -> KernelInfo:
        """Return one kernel, ended ones too. Raises NotFound (`kernel-not-found`)."""
        return await self._transport.fetch(KernelInfo, "GET", _at(kernel))

    async def stop(self, kernel: str) -> KernelInfo:
        """End a kernel: its variables are gone, its output stays to be read. One that ended stays as it is."""
        return await self._act(kernel, "stop")

    async def interrupt(self, kernel: str) -> KernelInfo:
        """Interrupt what a kernel runs; its variables stay. Raises Conflict (`kernel-ended`)."""
        return await self._act(kernel, "interrupt")

    async def restart(self, kernel: str) -> KernelInfo:
        """Start a kernel anew under the same id: its variables are gone. Raises Conflict (`kernel-ended`)."""
        return await self._act(kernel, "restart")

    async def log(self, kernel: str, *, lines: int = 200) -> KernelLog:
        """Return the last lines that a kernel's process itself wrote, which is not its cells' output."""
        return await self._transport.fetch(KernelLog, "GET", f"{_at(kernel)}/log", query={"lines": lines})

    async def output(
        self, kernel: str, *, after: int = 0, cell: str | None = None, wait_seconds: float = 0.0
    ) -> KernelOutput:
        """Return what a kernel put out after number `after`: all at first, then go on with `next` of the result.

        `cell`: of this cell only. `wait_seconds`: hold the answer until there is something, at most 60 s.
        """
        return await self._transport.fetch(
            KernelOutput,
            "GET",
            f"{_at(kernel)}/output",
            query={"after": after, "cell": cell},
            wait_seconds=wait_seconds,
        )

    async def follow_output(self, kernel: str, *, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Yield each entry of a kernel's output after number `after`, and new ones until the kernel has ended."""
        while True:
            seen = await self.output(kernel, after=after, wait_seconds=_HOLD_SECONDS)
            for entry in seen.entries:
                yield entry
            after = seen.next
            if not seen.more and not seen.entries and (await self.get(kernel)).state == "ended":
                return

    async def specs(self, workspace: str) -> list_of[KernelSpecInfo]:
        """Return the kernelspecs that a workspace offers."""
        at = f"/workspaces/{segment(workspace, what='workspace')}/kernelspecs"
        return await self._transport.fetch(list_of[KernelSpecInfo], "GET", at)

    async def create_spec(
        self,
        workspace: str,
        name: str,
        *,
        base: str | None = None,
        display_name: str | None = None,
        variables: Mapping[str, str] | None = None,
        cpu: float | None = None,
        memory: str | int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> KernelSpecInfo:
        """Offer another kernelspec in a workspace: `base` (`python3`) with variables and a size of its own.

        `memory`: bytes, or as `8g`. Raises NotFound (`kernelspec-not-found`: its base), Conflict (`kernelspec-exists`).
        """
        body = fill(
            KernelSpecCreate,
            name=name,
            base=base,
            display_name=display_name,
            variables=variables,
            cpu=cpu,
            memory=memory,
            metadata=metadata,
        )
        at = f"/workspaces/{segment(workspace, what='workspace')}/kernelspecs"
        return await self._transport.fetch(KernelSpecInfo, "POST", at, body=body)

    async def remove_spec(self, workspace: str, name: str) -> None:
        """Remove a kernelspec that was made; its kernels run on. Raises NotFound (`kernelspec-not-found`)."""
        at = f"/workspaces/{segment(workspace, what='workspace')}/kernelspecs/{segment(name, what='kernelspec')}"
        await self._transport.send("DELETE", at)

    async def _act(self, kernel: str, verb: str) -> KernelInfo:
        return await self._transport.fetch(KernelInfo, "POST", f"{_at(kernel)}/{verb}")


def _at(kernel: str) -> str:
    return f"{_PATH}/{segment(kernel, what='kernel')}"
