"""The engines of this platform by name: what their machines have, and how they hold sessions to limits."""

from collections.abc import Iterator, Mapping
from typing import cast

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.contract.resources import Capacity, Enforcement, EngineInfo, LimitKind
from studiolo.engines.base import Engine, Machine, Measures

_UNKNOWN = Machine(cpu=None, memory=None, gpu=None, cpu_limits="none", memory_limits="none", process_limits="none")


class Engines(Mapping[str, Engine]):
    """A mapping of names to engines; the first one runs what names no engine."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = dict(engines)

    def __getitem__(self, name: str) -> Engine:
        return self._engines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._engines)

    def __len__(self) -> int:
        return len(self._engines)

    def choose(self, name: str | None) -> str:
        """Return the name of the engine to use; raises InvalidInput (`engine-unknown`, lists those there are)."""
        chosen = name or next(iter(self._engines), "")
        if chosen in self._engines:
            return chosen
        raise InvalidInput(
            "engine-unknown",
            f"There is no engine {chosen[:40]!r}.",
            hint=f"Engines here: {', '.join(self._engines)}. Left out, the first is used.",
            candidates=list(self._engines),
        )

    async def machine(self, name: str) -> Machine:
        """Return what an engine's machine has; nothing is known of one that cannot measure or does not answer."""
        engine = self._engines[name]
        if not isinstance(engine, Measures):
            return _UNKNOWN
        try:
            return await engine.describe()
        except Unavailable:
            return _UNKNOWN

    async def info(self, name: str, claimed: Capacity) -> EngineInfo:
        """Return an engine as people see it; `claimed` says what its sessions hold (see `Sessions.claimed`)."""
        engine, machine, message = self._engines[name], _UNKNOWN, None
        if isinstance(engine, Measures):
            try:
                machine = await engine.describe()
            except Unavailable as exc:
                message = exc.message
        return EngineInfo(
            name=name,
            isolation=engine.isolation,
            healthy=message is None,
            message=message,
            enforcement=enforcement_of(machine),
            capacity=capacity_of(machine, claimed),
            images=False,
        )


def capacity_of(machine: Machine, claimed: Capacity) -> Capacity:
    """Return `claimed` with what the machine has."""
    return claimed.model_copy(update={"cpu": machine.cpu, "memory": machine.memory, "gpu": machine.gpu})


def enforcement_of(machine: Machine) -> Enforcement:
    """Return how a machine holds sessions to their limits, in numbers' kinds and as a sentence."""
    kinds = {"processors": machine.cpu_limits, "memory": machine.memory_limits, "processes": machine.process_limits}
    return Enforcement(
        cpu=cast(LimitKind, machine.cpu_limits),
        memory=cast(LimitKind, machine.memory_limits),
        processes=cast(LimitKind, machine.process_limits),
        note=_sentence(kinds),
    )


def _sentence(kinds: Mapping[str, str]) -> str:
    held = [what for what, kind in kinds.items() if kind.startswith("cgroup")]
    each = [what for what, kind in kinds.items() if kind == "rlimit"]
    advice = [what for what, kind in kinds.items() if kind == "none"]
    sentences = [
        f"The machine holds each session to its {_join(held)}." if held else "",
        f"Each process of a session by itself is held to its {_join(each)}, not the session as a whole."
        if each
        else "",
        f"Nothing enforces limits of {_join(advice)} here; such numbers are advice." if advice else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
