"""How engines read to people: what a level of isolation keeps apart, what holds limits. Pure."""

from collections.abc import Mapping
from typing import cast

from studiolo.contract.resources import Enforcement, LimitKind
from studiolo.engines.base import Machine

# Threat model, section 2.
_LEVELS = {
    "L0": "Processes of one account: convenience for one trusted person or team, no protection between sessions.",
    "L1": "An account for each workspace or person: files and signals are kept apart, the network is shared.",
    "L2": "Containers, jobs or pods of their own: processes, files and resources are kept apart.",
    "L3": "Processes, files and resources are kept apart, and the network is: sessions cannot reach each other.",
    "L4": "Processes, files, resources and network are kept apart, hardened by user namespaces or a stronger sandbox.",
}
_NOTICES = {"L0": "Anyone with a session on this machine can read everyone's files here."}


def isolation_words(level: str) -> str:
    """Return what a level keeps apart, in a sentence."""
    return _LEVELS.get(level, "")


def isolation_notice(level: str) -> str | None:
    """Return what people must know before they put files where this level holds, None if nothing."""
    return _NOTICES.get(level)


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
    by_engine = [what for what, kind in kinds.items() if kind == "engine"]
    each = [what for what, kind in kinds.items() if kind == "rlimit"]
    advice = [what for what, kind in kinds.items() if kind == "none"]
    sentences = [
        f"The machine holds each session to its {_join(held)}." if held else "",
        f"The engine itself holds each session to its {_join(by_engine)}." if by_engine else "",
        f"Each process of a session by itself is held to its {_join(each)}, not the session as a whole."
        if each
        else "",
        f"Nothing enforces limits of {_join(advice)} here; such numbers are advice." if advice else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
