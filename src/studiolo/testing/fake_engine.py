"""An engine without processes that does what a test tells it: be slow, stuck, failing, lying or gone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import (
    AskWanted,
    Death,
    Exit,
    Handle,
    Machine,
    Observation,
    Phase,
    Storage,
    Usage,
    WorkloadSpec,
)


@dataclass
class Behaviour:
    """What the engine does from now on; change it at any time.

    `becomes_ready` False: workloads stay in STARTING until `make_ready` (slow, or never ready).
    `has_places` False: they stay in PENDING until then, as in a queue.
    `stops` False: `stop` is heard and nothing happens (stuck). `refuses_start`: `start` raises (failing).
    `reports`: `observe` says this phase whatever is true (lying). `answers` False: the engine is gone.
    `hangs`: the verbs that never return.
    """

    becomes_ready: bool = True
    has_places: bool = True
    stops: bool = True
    refuses_start: bool = False
    # A start that is under way goes on when this is set.
    may_start: asyncio.Event | None = None
    reports: Phase | None = None
    answers: bool = True
    hangs: frozenset[str] = frozenset()


@dataclass
class FakeWorkload:
    """What "runs" on the fake engine."""

    spec: WorkloadSpec
    phase: Phase
    exit: Exit | None = None
    # What is said while it waits or runs, see Observation; change it by `say`.
    message: str | None = None
    expected_start: datetime | None = None
    ends_at: datetime | None = None
    # Upstream of a kernel host beside its server.
    kernels: str | None = None
    log: list[str] = field(default_factory=list)
    # What it used; change it at any time, or by `use`.
    usage: Usage = field(default_factory=lambda: Usage(datetime.now(UTC), 0.0, 0, 0, 1))
    changes: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)


class FakeEngine:
    """Implements Engine, Watches, Logs, Measures and Sweeps in memory.

    `calls` records verb and name of each call. `machine`: what `describe` says; change it at any time.
    """

    def __init__(self, name: str = "fake", isolation: str = "L0") -> None:
        self.name = name
        self.isolation = isolation
        self.storage: Storage = "shared"
        self.runs_images = False
        self.hosts_kernels = True
        self.remark = ""
        self.behaviour = Behaviour()
        self.machine = Machine(
            cpu=None, memory=None, gpu=0, cpu_limits="none", memory_limits="none", process_limits="none"
        )
        self.workloads: dict[tuple[str, int], FakeWorkload] = {}
        self.calls: list[tuple[str, str]] = []

    async def start(self, spec: WorkloadSpec) -> Handle:
        """See Engine.start."""
        key = (spec.workload_id, spec.launch)
        await self._called("start", key)
        if self.behaviour.refuses_start:
            raise _unavailable()
        if key not in self.workloads:
            self.workloads[key] = self._take_on(spec)
        if self.behaviour.may_start is not None:
            await self.behaviour.may_start.wait()
        return {"workload_id": spec.workload_id, "launch": spec.launch}

    async def observe(self, handle: Handle) -> Observation:
        """See Engine.observe."""
        self.calls.append(("observe", _name(_key(handle))))
        await self._hang("observe")
        if not self.behaviour.answers:
            return Observation(Phase.UNKNOWN, message="The fake engine does not answer.")
        workload = self.workloads.get(_key(handle))
        if workload is None:
            exit_ = Exit("vanished", "Nothing is known of this launch.", datetime.now(UTC))
            return Observation(Phase.ENDED, exit=exit_)
        phase = self.behaviour.reports or workload.phase
        upstream = f"unix//fake/{_name(_key(handle))}.sock" if phase is Phase.READY else None
        if upstream and workload.spec.only_kernels:
            upstream = workload.kernels or upstream
        return Observation(
            phase,
            upstream=upstream,
            exit=workload.exit,
            message=workload.message,
            expected_start=workload.expected_start,
            ends_at=workload.ends_at,
            kernels=workload.kernels if phase is Phase.READY else None,
        )

    async def stop(self, handle: Handle, *, grace: timedelta) -> None:
        """See Engine.stop."""
        await self._called("stop", _key(handle))
        if self.behaviour.stops:
            self._end(_key(handle), "stopped", "The session was stopped.", code=0)

    async def watch(self, handle: Handle) -> AsyncIterator[None]:
        """See Watches.watch."""
        workload = self.workloads.get(_key(handle))
        seen = 0
        while workload is not None:
            if workload.changes > seen:
                seen = workload.changes
                yield
            elif workload.phase is Phase.ENDED:
                return
            else:
                await workload.news.wait()

    async def tail(self, handle: Handle, *, lines: int) -> list[str]:
        """See Logs.tail."""
        workload = self.workloads.get(_key(handle))
        return workload.log[-lines:] if workload and lines > 0 else []

    async def follow(self, handle: Handle, *, lines: int) -> AsyncIterator[str]:
        """See Logs.follow."""
        workload = self.workloads.get(_key(handle))
        if workload is None:
            return
        seen = max(0, len(workload.log) - lines)
        while True:
            for line in workload.log[seen:]:
                seen += 1
                yield line
            if seen == len(workload.log):
                if workload.phase is Phase.ENDED:
                    return
                await workload.news.wait()

    async def measure(self, handle: Handle) -> Usage | None:
        """See Measures.measure."""
        await self._hang("measure")
        workload = self.workloads.get(_key(handle))
        return workload.usage if workload is not None and workload.phase is not Phase.ENDED else None

    async def describe(self) -> Machine:
        """See Measures.describe."""
        await self._hang("describe")
        if not self.behaviour.answers:
            raise _unavailable()
        return self.machine

    async def sweep(self, ask_wanted: AskWanted) -> list[str]:
        """See Sweeps.sweep."""
        wanted = await ask_wanted()
        unwanted = [key for key, it in self.workloads.items() if it.phase is not Phase.ENDED and key not in wanted]
        for key in unwanted:
            self._end(key, "stopped", "The session was stopped.", code=0)
        return [_name(key) for key in unwanted]

    async def forget(self, workload_id: str) -> None:
        """See Forgets.forget."""
        for key in [key for key in self.workloads if key[0] == workload_id]:
            del self.workloads[key]

    def make_ready(self, handle: Handle) -> None:
        """Let a workload that waited or started become ready."""
        self.workloads[_key(handle)].message = None
        self._change(self.workloads[_key(handle)], Phase.READY)

    def say(
        self,
        handle: Handle,
        message: str | None = None,
        *,
        expected_start: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> None:
        """Say of a workload what Observation holds beside its phase."""
        workload = self.workloads[_key(handle)]
        workload.message, workload.expected_start, workload.ends_at = message, expected_start, ends_at
        self._change(workload, workload.phase)

    def use(self, handle: Handle, **values: Any) -> None:
        """Let a workload have used something: members of Usage."""
        workload = self.workloads[_key(handle)]
        workload.usage = replace(workload.usage, **values)

    def run_out_of_memory(self, handle: Handle, death: Death) -> None:
        """Let a part of a workload die for want of memory, the workload going on; the engine tells it."""
        workload = self.workloads[_key(handle)]
        self.use(handle, deaths=(*workload.usage.deaths, death))
        self._change(workload, workload.phase)

    def write_log(self, handle: Handle, line: str) -> None:
        """Let a workload write a line."""
        workload = self.workloads[_key(handle)]
        workload.log.append(line)
        self._change(workload, workload.phase)

    def crash(self, handle: Handle) -> None:
        """End a workload as if something had killed it."""
        self._end(_key(handle), "killed", "JupyterLab was killed from outside.", signal=9)

    def running(self) -> list[tuple[str, int]]:
        """Return (workload_id, launch) of all that has not ended."""
        return [key for key, workload in self.workloads.items() if workload.phase is not Phase.ENDED]

    def _take_on(self, spec: WorkloadSpec) -> FakeWorkload:
        log = [f"started {spec.workload_id}.{spec.launch}"]
        if not self.behaviour.has_places:
            return FakeWorkload(spec, Phase.PENDING, message="In the queue of the fake engine.", log=log)
        return FakeWorkload(spec, Phase.READY if self.behaviour.becomes_ready else Phase.STARTING, log=log)

    async def _called(self, verb: str, key: tuple[str, int]) -> None:
        self.calls.append((verb, _name(key)))
        await self._hang(verb)
        if not self.behaviour.answers:
            raise _unavailable()

    async def _hang(self, verb: str) -> None:
        if verb in self.behaviour.hangs:
            await asyncio.Event().wait()

    def _end(
        self, key: tuple[str, int], reason: str, message: str, *, code: int | None = None, signal: int | None = None
    ) -> None:
        workload = self.workloads.get(key)
        if workload is not None and workload.phase is not Phase.ENDED:
            workload.message = workload.expected_start = workload.ends_at = None
            workload.exit = Exit(reason, message, datetime.now(UTC), code, signal)
            self._change(workload, Phase.ENDED)

    def _change(self, workload: FakeWorkload, phase: Phase) -> None:
        workload.phase = phase
        workload.changes += 1
        workload.news.set()
        workload.news = asyncio.Event()


def _key(handle: Handle) -> tuple[str, int]:
    return handle["workload_id"], handle["launch"]


def _name(key: tuple[str, int]) -> str:
    return f"{key[0]}.{key[1]}"


def _unavailable() -> Unavailable:
    return Unavailable("engine-unavailable", "The fake engine does not answer.", hint="Tell it to.")
