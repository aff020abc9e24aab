"""Starting kernels as processes of this machine: forked where they may be, else exec'd, each under a shim of its own.

What is known of a kernel lies in files, so that any later process finds it: see `runtime.kernelrequest`.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Conflict, Unavailable
from studiolo.gateway.base import KernelExit, KernelPlan
from studiolo.gateway.starting.kernelservers import KernelServers
from studiolo.gateway.starting.local_kernels import KeptKernel, LocalProcess, find_process, read_exit
from studiolo.kit import logs
from studiolo.runtime import connecting, guard, packagenotice
from studiolo.runtime.account import at_home
from studiolo.runtime.acting import owner_of
from studiolo.runtime.kernelcommands import first_line
from studiolo.runtime.kernelrequest import MARKER, KernelRequest, is_plain
from studiolo.runtime.launch import MARKER as LAUNCH_MARKER

# A kernel that is slow to bind its sockets is given out as it is: clients wait for it then.
_BOUND_SECONDS = 10.0
# For stops that nobody timed: a session that ends waits five seconds for its kernels.
_GRACE_SECONDS = 2.0
_SHORT_ID = 12
_LINES_SHOWN = 12


class LocalLauncher:
    """Implements Launcher. `folder`: DATA/kernels; `sockets`: RUN/k, whose path had best be short.

    `spares`: how many kernels are kept ready for each environment in use.
    """

    def __init__(self, folder: Path, sockets: Path, *, spares: int = 1) -> None:
        self._folder = folder
        self._sockets = sockets
        self._servers = KernelServers(sockets, spares)

    async def start(self, plan: KernelPlan) -> "LocalProcess":
        """See Launcher.start. A kernel that has ended is started anew under its id, with a connection of its own.

        Raises Conflict (`kernel-exists`) while it runs, Unavailable (`kernel-not-started`).
        """
        kept = self._kept(plan.kernel_id)
        try:
            if kept.files.lock.exists():
                await asyncio.to_thread(self._make_room, kept)
            kept.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = connecting.new_connection(kept.run_files, plan.spec_name)
            connecting.write_connection(kept.run_files, connection)
            server = await self._servers.find(plan)
            request = _request(plan, kept, forks=server is not None)
            # What people have configured is read by a process of theirs.
            is_forked = server is not None and not (request.account and not is_plain(request))
            events = await self._ask(request, server if is_forked else None)
        except OSError as exc:
            shutil.rmtree(kept.run_folder, ignore_errors=True)
            raise _not_started(plan, str(exc), kept) from exc
        try:
            return await self._await_ready(plan, kept, events, connection if _is_settled(request, connection) else None)
        finally:
            events.close()

    async def adopt(self, kernel_id: str) -> "LocalProcess | KernelExit | None":
        """See Launcher.adopt."""
        kept = self._kept(kernel_id)
        if not kept.files.lock.exists():
            return None
        if kept.read_exit() is None and not kept.is_held():
            await asyncio.to_thread(kept.bury)
        if (record := kept.read_exit()) is not None:
            return read_exit(record)
        return find_process(kept)

    async def prepare(self, environment: Path) -> None:
        """Have kernels of this environment start quickly from now on, as far as they can."""
        await self._servers.prepare(environment)

    async def aclose(self) -> None:
        """Let go of everything; kernels go on."""
        await self._servers.aclose()

    async def _ask(self, request: KernelRequest, server: Path | None) -> "_Events":
        if server is not None:
            with contextlib.suppress(OSError):
                return await _Events.ask_server(request, server)
        return await _Events.ask_fresh(replace(request, environment="", argv=[*request.argv, *_notice(request)]))

    async def _await_ready(
        self, plan: KernelPlan, kept: "KeptKernel", events: "_Events", connection: Mapping[str, Any] | None
    ) -> "LocalProcess":
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BOUND_SECONDS):
                heard: dict[str, dict[str, Any]] = {}
                while heard.keys() != {"started", "ready"}:
                    event = await events.next()
                    if event["event"] not in ("started", "ready"):
                        raise _not_started(plan, event.get("message") or "Its shim was killed.", kept)
                    heard[event["event"]] = event
                return find_process(kept, pid=heard["ready"]["pid"], connection=connection)
        return find_process(kept)

    def _make_room(self, kept: "KeptKernel") -> None:
        """Remove what an earlier launch of this kernel left; raises Conflict if it has not ended."""
        kept.bury()
        if kept.read_exit() is None:
            raise Conflict("kernel-exists", "The kernel runs already.", hint="Use it, or stop it first.")
        for file in (kept.files.shim, kept.files.ready, kept.files.stop, kept.files.exit, kept.files.deaths):
            file.unlink(missing_ok=True)
        shutil.rmtree(kept.spool_folder, ignore_errors=True)

    def _kept(self, kernel_id: str) -> "KeptKernel":
        return KeptKernel(kernel_id, self._folder / kernel_id, self._sockets / kernel_id.replace("-", "")[:_SHORT_ID])


class _Events:
    """What a shim tells on the connection that its request came by."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def ask_server(cls, request: KernelRequest, server: Path) -> "_Events":
        """Have a kernel server fork the kernel that `request` asks for. Raises OSError."""
        ours, line, sent = socket.socket(socket.AF_UNIX), request.to_line(), 0
        try:
            ours.setblocking(False)
            ours.connect(os.fspath(server))
            # Before there are streams on it, so that the server begins meanwhile.
            with contextlib.suppress(BlockingIOError):
                sent = ours.send(line)
            events = cls(*await asyncio.open_unix_connection(sock=ours))
        except BaseException:
            ours.close()
            raise
        events._writer.write(line[sent:])
        return events

    @classmethod
    async def ask_fresh(cls, request: KernelRequest) -> "_Events":
        """Have a fresh process keep the kernel that `request` asks for. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "studiolo.runtime.kernelshim"),
                stdin=theirs.fileno(),
                # Nothing else of the host's environment is its business; the kernel's is in the request.
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ},
            )
        # It detaches itself and returns at once, so that nobody here must reap it when it ends.
        await process.wait()
        events = cls(*await asyncio.open_unix_connection(sock=ours))
        events._writer.write(request.to_line())
        return events

    async def next(self) -> dict[str, Any]:
        """Return the next event; `lost` when there is none any more."""
        try:
            line = await self._reader.readline()
            return dict(json.loads(line)) if line else {"event": "lost"}
        except (OSError, ValueError):
            return {"event": "lost"}

    def close(self) -> None:
        self._writer.close()


def _request(plan: KernelPlan, kept: KeptKernel, *, forks: bool) -> KernelRequest:
    file = str(kept.run_files.connection)
    # Kernels end by themselves when this process does; 1 is "somebody else sees to it", and programs look for the name.
    own = {MARKER: plan.kernel_id, "JPY_PARENT_PID": "1"} | ({LAUNCH_MARKER: plan.marker} if plan.marker else {})
    account = _account_of(plan)
    return KernelRequest(
        kernel_id=plan.kernel_id,
        kernel_folder=str(kept.files.folder),
        run_folder=str(kept.run_folder),
        argv=[word.replace("{connection_file}", file).replace("{prefix}", sys.prefix) for word in plan.argv],
        environment=str(plan.environment) if forks else "",
        folder=str(plan.folder),
        grace_seconds=_GRACE_SECONDS,
        variables=at_home(dict(plan.variables) | own, account),
        groups=plan.groups if plan.group else {},
        group=plan.group,
        owns_group=bool(plan.group) and plan.group != plan.scope,
        cpu_limit=plan.cpu_limit,
        memory_limit=plan.memory_limit,
        process_limit=plan.process_limit,
        register=str(plan.register or ""),
        path=plan.path or "",
        account=account,
        enclosure=plan.enclosure,
        namespaces=plan.namespaces,
    )


def _is_settled(request: KernelRequest, connection: Mapping[str, Any]) -> bool:
    """Tell whether a kernel's connection stays as it was written: accounts get another one, ports may be others."""
    return connection["transport"] == "ipc" and not request.account


def _account_of(plan: KernelPlan) -> int:
    """Return whose a kernel is: its workspace's. Of `folder` people decide, and of where links there lead."""
    owner = owner_of(plan.root) if plan.root is not None else None
    return owner[0] if owner else 0


def _notice(request: KernelRequest) -> list[str]:
    """Return what has an exec'd ipykernel, which has none of our modules, explain refusals and heed code rules."""
    wanted = {"STUDIOLO_INDEX": packagenotice.__file__, guard.VARIABLE: guard.__file__}
    # A person's own configuration of IPython would lose lines by it.
    known = [first_line(file) for name, file in wanted.items() if name in request.variables]
    return known if is_plain(request) else []


def _not_started(plan: KernelPlan, why: str, kept: KeptKernel) -> Unavailable:
    end = "\n".join(logs.tail(kept.files.log, _LINES_SHOWN))
    return Unavailable(
        "kernel-not-started",
        f"The kernel {plan.spec_name} did not start: {why}" + (f"\n{end}" if end else ""),
        hint="See that its program is installed where its kernelspec says, and that its folder is there.",
    )
