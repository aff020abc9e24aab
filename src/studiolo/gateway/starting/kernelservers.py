"""Kernel servers from the host's side: one per environment, started when first needed, kept while somebody is there."""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.gateway.base import KernelPlan
from studiolo.gateway.starting.forkable import Imported, find_base, is_alike, is_plain
from studiolo.runtime.acting import owner_of
from studiolo.runtime.kernelcommands import GOODBYE, HELD, HERE, program
from studiolo.runtime.launch import read_json

_PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
# An environment whose bytecode is not compiled yet takes that long.
_READY_SECONDS = 60.0
# Another host may be starting the same one.
_CONNECT_SECONDS = 10.0
_PAUSE_SECONDS = 0.05
_GOODBYE_SECONDS = 5.0
# After so long an environment whose kernel server did not start is tried again.
_RETRY_SECONDS = 60.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Server:
    path: Path
    imported: Imported
    writer: asyncio.StreamWriter
    watch: asyncio.Task[None]


class KernelServers:
    """Finds a kernel server for a plan. `sockets`: RUN/k; `spares`: how many kernels each keeps ready."""

    def __init__(self, sockets: Path, spares: int) -> None:
        self._sockets = sockets
        self._spares = spares
        self._servers: dict[Path, _Server] = {}
        self._locks: dict[Path, asyncio.Lock] = {}
        self._failed: dict[Path, float] = {}
        self._alike: dict[Path, tuple[Any, bool]] = {}
        self._variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}

    async def find(self, plan: KernelPlan) -> Path | None:
        """Return the socket of a server that may fork this kernel; None: it is to be exec'd."""
        if plan.environment is None or not is_plain(plan, self._variables):
            return None
        return await self.prepare(plan.environment)

    async def prepare(self, environment: Path) -> Path | None:
        """Have a server for this environment, with its spares; returns its socket, or None where there can be none."""
        base = find_base(environment)
        if base.is_dir() and owner_of(base) is not None:
            # A server is root, and runs nothing that a workspace can write.
            return None
        async with self._locks.setdefault(base, asyncio.Lock()):
            server = self._servers.get(base) or await self._start(base)
            if server is None or await self._is_alike(environment, base, server.imported):
                return server.path if server else None
            if environment != base:
                return None
            # The environment has changed since it was imported.
            await self._dismiss(base)
            server = await self._start(base)
            return server.path if server else None

    async def aclose(self) -> None:
        """Let go of all servers; those that nobody else uses end."""
        for base in list(self._servers):
            await self._dismiss(base)

    async def _is_alike(self, environment: Path, base: Path, imported: Imported) -> bool:
        site = environment / imported.site.relative_to(base)
        try:
            seen = (imported, site.stat().st_mtime_ns, (environment / "pyvenv.cfg").stat().st_mtime_ns)
        except OSError:
            return False
        known = self._alike.get(environment)
        if known is None or known[0] != seen:
            known = seen, await asyncio.to_thread(is_alike, environment, base, imported)
            self._alike[environment] = known
        return known[1]

    async def _start(self, base: Path) -> _Server | None:
        path = self._sockets / f"{hashlib.sha256(os.fsencode(base)).hexdigest()[:12]}.sock"
        server = await self._connect(base, path, patience=0)
        if server is None and time.monotonic() > self._failed.get(base, 0.0):
            word = await self._run(base, path)
            server = await self._connect(base, path, patience=_CONNECT_SECONDS if word == HELD else 0) if word else None
            if server is None:
                self._failed[base] = time.monotonic() + _RETRY_SECONDS
                _log.warning("no kernel server for %s: its kernels start the slow way; see %s.log", base, path)
        return server

    async def _run(self, base: Path, path: Path) -> bytes:
        """Start a server, detached; returns what it says: READY, HELD if another one is there, nothing if it failed."""
        self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        arguments = program("kernelserver", "--socket", str(path), "--spares", str(self._spares))
        ours, theirs = socket.socketpair()
        try:
            with theirs, path.with_name(f"{path.name}.log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    *(str(base / "bin/python"), *arguments),
                    stdin=theirs.fileno(),
                    stdout=log,
                    stderr=log,
                    env=self._variables | {"PYTHONNOUSERSITE": "1", "JPY_PARENT_PID": "1"},
                    cwd="/",
                )
        except OSError:
            ours.close()
            return b""
        # It detaches itself and returns at once, so that nobody here must reap it when it ends.
        await process.wait()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                return await reader.readline()
        except (TimeoutError, OSError):
            return b""
        finally:
            writer.close()

    async def _connect(self, base: Path, path: Path, *, patience: float) -> _Server | None:
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(path)
                if (imported := _read_imported(path, base)) is not None:
                    writer.write(HERE)
                    watch = asyncio.create_task(self._watch(base, reader))
                    self._servers[base] = server = _Server(path, imported, writer, watch)
                    return server
                writer.close()
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _watch(self, base: Path, reader: asyncio.StreamReader) -> None:
        """Forget a server that has ended."""
        with contextlib.suppress(OSError):
            await reader.read()
        if (server := self._servers.pop(base, None)) is not None:
            server.writer.close()
            with contextlib.suppress(OSError):
                await server.writer.wait_closed()

    async def _dismiss(self, base: Path) -> None:
        if (server := self._servers.pop(base, None)) is None:
            return
        with contextlib.suppress(OSError, TimeoutError):
            server.writer.write(GOODBYE)
            # It closes its end when it has heard.
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await server.watch
        server.writer.close()
        with contextlib.suppress(OSError):
            await server.writer.wait_closed()


def _read_imported(path: Path, base: Path) -> Imported | None:
    known = read_json(path.with_name(f"{path.name}.json"))
    if known is None or known.get("prefix") != str(base):
        return None
    return Imported(Path(known["site"]), frozenset(known["distributions"]))
