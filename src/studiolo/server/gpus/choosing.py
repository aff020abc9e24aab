"""Which GPUs a launch gets, why it gets none, and who is told that some are free. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from studiolo.contract.errors import InvalidInput, LimitReached
from studiolo.engines.base import GPU

# The head start of who is told first over who is told next.
TURN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Lease:
    """A GPU that somebody holds. `person`: their name for people."""

    gpu: str
    holder: str
    person: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """What somebody waits for on an engine."""

    person_id: str
    count: int
    type: str | None
    told_at: datetime | None


@dataclass(frozen=True, slots=True)
class Turn:
    """Who is told now, and whose turn is over: they were told, and had their time."""

    told: list[Wait]
    over: list[Wait]


def check_wish(gpus: Sequence[GPU], count: int, kind: str | None, engine: str) -> None:
    """Raise InvalidInput (`gpu-type-unknown`, `gpu-not-available`) for what the engine never has."""
    types = Counter(gpu.type for gpu in gpus)
    known = ", ".join(f"{name} ({number})" for name, number in sorted(types.items())) or "none"
    if kind is not None and kind not in types:
        raise InvalidInput(
            "gpu-type-unknown",
            f"The engine {engine} has no GPU of the type {kind[:100]!r}.",
            hint=f"Types there: {known}.",
            candidates=sorted(types),
        )
    there = types[kind] if kind is not None else len(gpus)
    if count > there:
        raise InvalidInput(
            "gpu-not-available",
            f"You asked for {describe(count, kind)}, and the engine {engine} has {there} in all.",
            hint=f"Ask for less. GPUs there: {known}.",
        )


def choose_gpus(
    gpus: Sequence[GPU], leases: Sequence[Lease], *, count: int, kind: str | None, holder: str, engine: str
) -> list[str]:
    """Return the ids of `count` GPUs, those that the holder has already first.

    Raises InvalidInput (see `check_wish`), LimitReached (`gpus-taken`) that says who holds them since when.
    """
    check_wish(gpus, count, kind, engine)
    others = [lease for lease in leases if lease.holder != holder]
    taken, own = {lease.gpu for lease in others}, {lease.gpu for lease in leases if lease.holder == holder}
    fit = [gpu.id for gpu in gpus if kind is None or gpu.type == kind]
    free = sorted((gpu for gpu in fit if gpu not in taken), key=lambda gpu: gpu not in own)
    if len(free) < count:
        raise _taken([lease for lease in others if lease.gpu in fit], len(free), len(fit), count, kind, engine)
    return free[:count]


def decide_turn(gpus: Sequence[GPU], taken: Collection[str], waits: Sequence[Wait], now: datetime) -> Turn:
    """Return who is told that as many as they wait for are free, in the order of `waits`.

    Whoever was told has the free ones to themselves for `TURN`; a small wish may pass a large one.
    """
    over = [wait for wait in waits if wait.told_at is not None and now - wait.told_at >= TURN]
    free = [gpu for gpu in gpus if gpu.id not in taken]
    told = []
    for wait in sorted((wait for wait in waits if wait not in over), key=lambda wait: wait.told_at is None):
        fit = [gpu for gpu in free if wait.type is None or gpu.type == wait.type][: wait.count]
        if len(fit) == wait.count or wait.told_at is not None:
            free = [gpu for gpu in free if gpu not in fit]
            told += [wait] if wait.told_at is None else []
    return Turn(told, over)


def gpu_variables(gpus: Sequence[GPU], leased: Sequence[str]) -> Mapping[str, str]:
    """Return the variables that show a workload what it was leased, and where GPUs are leased nothing else."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(leased)} if gpus or leased else {}


def describe(count: int, kind: str | None) -> str:
    """Return `2 GPUs` or `1 GPU of the type a100`."""
    return f"{count} GPU{'' if count == 1 else 's'}" + (f" of the type {kind}" if kind else "")


def _taken(held: Sequence[Lease], free: int, there: int, count: int, kind: str | None, engine: str) -> LimitReached:
    holders = Counter((lease.person, lease.since) for lease in held)
    words = [
        f"{person} ({number}) since {since.strftime('%-d %b %H:%M')} UTC"
        for (person, since), number in sorted(holders.items(), key=lambda one: one[0][1])
    ]
    asked = f" --count {count}" if count > 1 else ""
    asked += f" --type {kind}" if kind else ""
    return LimitReached(
        "gpus-taken",
        f"You asked for {describe(count, kind)}; {free} of {there} on {engine} {'is' if free == 1 else 'are'} free. "
        f"Held by {'; '.join(words)}.",
        hint=f"Ask for less, or have yourself told when they are free: studiolo gpus notify{asked}",
        held=[
            {"person": person, "since": since.isoformat(), "gpus": number}
            for (person, since), number in holders.items()
        ],
    )
