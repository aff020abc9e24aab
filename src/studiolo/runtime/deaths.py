"""Noticing that something of a session was killed for lack of memory, and finding out what it was.

The kernel counts such kills and wakes us; it does not say whom it took. So we look which of the kernels and terminals
that the server told of are gone.
"""

import contextlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studiolo.runtime import processes
from studiolo.runtime.groups import Group
from studiolo.runtime.launch import LaunchFiles, read_json, write_json
from studiolo.runtime.parts import Part, read_parts
from studiolo.runtime.registrations import list_kernels

# A large process that was killed takes a while until it is gone, on a busy machine more than a second.
_PATIENCE_SECONDS = 3.0
# The first version's event comes before the kill.
_LOOK_AGAIN_SECONDS = 0.05
# Many processes that die one after the other are told once.
_SAME_SECONDS = 60.0
_MOST = 20
# At less than this part of its limit it was not the session's limit that was reached.
_FULL = 0.95


class MemoryWatch:
    """Watches one launch's group. Without a memory controller it never notices anything.

    `told`: how many kills of it are known already; None: all until now.

    Give `readable` and `exceptional` to select; when it returns for whatever reason, call `look`, and again within
    `next_seconds` if that is not None.
    """

    def __init__(
        self,
        group: Group,
        files: LaunchFiles,
        limit: int | None,
        registered: Path | None = None,
        *,
        told: int | None = None,
    ) -> None:
        self._group = group
        self._files = files
        self._limit = group.read_memory_limit() if limit is None else limit
        self._registered = registered
        self.told = (group.count_kills() or 0) if told is None else told
        self._told_pids: set[tuple[int, str]] = set()
        self._decide_at: float | None = None
        self._look_until = 0.0
        self._same_until = 0.0
        self.readable: list[int] = []
        self.exceptional: list[int] = []
        with contextlib.suppress(OSError):
            self._subscribe()

    @property
    def can_tell(self) -> bool:
        """Tell whether kills are counted at all."""
        return self._group.count_kills() is not None

    @property
    def is_woken(self) -> bool:
        """Tell whether the kernel wakes us; else somebody must look now and then."""
        return bool(self.readable or self.exceptional)

    @property
    def next_seconds(self) -> float | None:
        """How soon to look again."""
        is_open = self._decide_at is not None or time.monotonic() < self._look_until
        return _LOOK_AGAIN_SECONDS if is_open else None

    def look(self) -> list[dict[str, Any]]:
        """Return new deaths as {at, what, pid, name, peak, limit}, having written them down."""
        now = time.monotonic()
        if self._take_event():
            self._look_until = now + _PATIENCE_SECONDS
        kills = self._group.count_kills() or 0
        deaths = [self._death(part.what, part) for part in self._find_dead(kills - self.told)]
        self.told += len(deaths)
        if kills <= self.told:
            self._decide_at = None
        elif self._decide_at is None:
            self._decide_at = now + _PATIENCE_SECONDS
        elif now >= self._decide_at:
            self._decide_at = None
            self.told = kills
            deaths += self._tell_processes(now)
        if deaths:
            self._write(deaths)
        return deaths

    def finish(self, server_pid: int) -> dict[str, Any] | None:
        """Return, and write down, the death of the server, which ended by SIGKILL, if it was for lack of memory."""
        kills = self._group.count_kills() or 0
        if kills <= self.told:
            return None
        self.told = kills
        death = self._death("server", Part(server_pid, "", "server", None))
        self._write([death])
        return death

    def _subscribe(self) -> None:
        if (file := self._group.kills_file) is None:
            return
        counter = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        if file.name == "memory.events":
            os.pread(counter, 4096, 0)
            self.exceptional = [counter]
            return
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        file.with_name("cgroup.event_control").write_text(f"{event} {counter}")
        self.readable = [event]

    def _take_event(self) -> bool:
        with contextlib.suppress(OSError):
            for descriptor in self.exceptional:
                os.pread(descriptor, 4096, 0)
            for descriptor in self.readable:
                return bool(os.eventfd_read(descriptor))
        return False

    def _find_dead(self, most: int) -> list[Part]:
        if most <= 0:
            return []
        known = read_parts(self._files.parts) + (list_kernels(self._registered) if self._registered else [])
        parts = [part for part in known if part[:2] not in self._told_pids]
        dead = [part for part in parts if not processes.is_alive(part.pid, part.start_time)][:most]
        self._told_pids.update(part[:2] for part in dead)
        return dead

    def _tell_processes(self, now: float) -> list[dict[str, Any]]:
        is_news = now >= self._same_until
        self._same_until = now + _SAME_SECONDS
        return [self._death("processes", None)] if is_news else []

    def _death(self, what: str, part: Part | None) -> dict[str, Any]:
        peak = self._group.read_memory_peak() or self._limit
        is_full = self._limit is not None and peak is not None and peak >= _FULL * self._limit
        return {
            "at": datetime.now(UTC).isoformat(),
            "what": what,
            "pid": part.pid if part else None,
            "name": part.name if part else None,
            "peak": peak,
            "limit": self._limit if is_full else None,
        }

    def _write(self, deaths: list[dict[str, Any]]) -> None:
        known = (read_json(self._files.deaths) or {}).get("deaths", [])
        # On a full disk the session goes on without it.
        with contextlib.suppress(OSError):
            write_json(self._files.deaths, {"deaths": [*known, *deaths][-_MOST:]})
