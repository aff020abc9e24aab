"""The engines of this platform by name: which one a launch uses, and calls to them that end in time."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from studiolo.contract.errors import InvalidInput
from studiolo.contract.resources import Capacity, EngineInfo, Isolation
from studiolo.engines.base import Closes, Engine, Machine, Remarks
from studiolo.kit.repeat import repeat
from studiolo.server.engines.health import REMEMBERED_SECONDS, UNKNOWN, Health
from studiolo.server.engines.missing import MissingEngine
from studiolo.server.engines.words import enforcement_of, isolation_words

LOCAL = "local"
_LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Images:
    """Whether an engine runs container images, and the names of all that do."""

    can: bool
    engines: Collection[str] = ()


class Engines(Mapping[str, Engine]):
    """A mapping of names to engines. `default` runs what names none; empty: the first that people may use.

    `hidden`: engines that run what they run already, and that nobody may choose any more. `remembered_seconds`: how
    long what an engine said of itself counts (see Health).
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        *,
        default: str = "",
        hidden: Collection[str] = (),
        remembered_seconds: float = REMEMBERED_SECONDS,
    ) -> None:
        self._engines = dict(engines)
        self._usable = [name for name in self._engines if name not in hidden]
        self._health = Health(self._engines, remembered_seconds)
        if self._engines and not self._usable:
            raise InvalidInput(
                "settings-invalid",
                "engines.local.enabled is false, and no other engine is there.",
                hint="Add a table for another engine, or let people use this machine.",
            )
        if default and self._engines and default not in self._usable:
            raise InvalidInput(
                "settings-invalid",
                f"engines.default is {default[:40]!r}, which is no engine here.",
                hint=f"Engines here: {', '.join(self._usable)}.",
            )
        self.default = default if default in self._usable else next(iter(self._usable), "")

    def __getitem__(self, name: str) -> Engine:
        return self._engines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._engines)

    def __len__(self) -> int:
        return len(self._engines)

    @property
    def usable(self) -> list[str]:
        """The names of those that people may choose, the default first."""
        return sorted(self._usable, key=lambda name: name != self.default)

    @property
    def here(self) -> str:
        """The engine beside which kernels without a session run: this machine's, or the only one."""
        return LOCAL if LOCAL in self._engines else self.default

    def of(self, name: str) -> Engine:
        """Return the engine of a session's row, also one that was taken out of the settings meanwhile."""
        return self._engines.get(name) or MissingEngine(name)

    def choose(self, name: str | None) -> str:
        """Return the name of the engine to use; raises InvalidInput (`engine-unknown`, lists those there are)."""
        chosen = name or self.default
        if chosen in self._usable:
            return chosen
        raise InvalidInput(
            "engine-unknown",
            f"There is no engine {chosen[:40]!r}.",
            hint=f"Engines here: {', '.join(self.usable)}. Left out, {self.default or 'none'} is used.",
            candidates=self.usable,
        )

    def choose_for(self, asked: str | None, workspace: str | None, minimum: str | None) -> str:
        """Return the engine of a launch: `asked` for, else its workspace's, else the default.

        Raises InvalidInput (`engine-unknown`, `engine-storage`, `isolation-too-low`).
        """
        chosen = self.choose(asked or workspace)
        self.check_move(workspace, chosen)
        self.check_isolation(chosen, minimum)
        return chosen

    def check_isolation(self, name: str, minimum: str | None) -> None:
        """Raise InvalidInput (`isolation-too-low`) for an engine below a workspace's minimum; lists those that fit."""
        levels = get_args(Isolation)
        if not minimum or levels.index(self.of(name).isolation) >= levels.index(minimum):
            return
        fit = [one for one in self.usable if levels.index(self._engines[one].isolation) >= levels.index(minimum)]
        raise InvalidInput(
            "isolation-too-low",
            f"The workspace demands isolation {minimum}, and the engine {name} gives {self.of(name).isolation}.",
            hint=f"Engines with at least {minimum}: {', '.join(fit)}. Choose one with --engine."
            if fit
            else f"No engine here gives {minimum}; an owner of the workspace may demand less.",
            candidates=fit,
        )

    def check_move(self, before: str | None, after: str) -> None:
        """Raise InvalidInput (`engine-storage`) where a workspace's files would have to move.

        `before`: its own engine, None for the default one; unknown by now: the files lie where they can be shared.
        """
        came = before or self.default
        own = [name for name in (came, after) if name in self._engines and self._engines[name].storage == "own"]
        if came == after or not own:
            return
        raise InvalidInput(
            "engine-storage",
            f"The engine {own[0]} keeps files itself, so they must be copied for the workspace to go from {came} "
            f"to {after}.",
            hint=f"Move it, with all its files: studiolo move WORKSPACE {after}.",
        )

    def keeper_of(self, name: str | None) -> str | None:
        """Return which engine keeps the files of workspaces on `name` (None: the default one) itself, if one does."""
        chosen = name or self.default
        return chosen if chosen in self._engines and self._engines[chosen].storage == "own" else None

    def images_of(self, name: str) -> Images:
        """Return whether an engine runs container images, and which ones do."""
        able = [one for one in self.usable if self._engines[one].runs_images]
        return Images(self.of(name).runs_images, able)

    def describe_place(self, name: str | None) -> str:
        """Return `slurm engine, isolation L2`; None means the default one."""
        engine = self.of(name or self.default)
        return f"{engine.name if name else self.default} engine, isolation {engine.isolation}"

    async def machine(self, name: str) -> Machine:
        """Return what an engine's machine has; nothing is known of one that cannot measure or does not answer."""
        return (await self._health.look(name)).machine if name in self._engines else UNKNOWN

    async def info(self, name: str, claimed: Capacity) -> EngineInfo:
        """Return an engine as people see it; `claimed` says what its sessions hold (see `Sessions.claimed`)."""
        engine, told = self._engines[name], await self._health.look(name)
        return EngineInfo(
            name=name,
            isolation=engine.isolation,
            isolation_words=isolation_words(engine.isolation),
            healthy=told.message is None,
            message=told.message,
            enforcement=enforcement_of(told.machine),
            capacity=capacity_of(told.machine, claimed),
            images=engine.runs_images,
            storage=engine.storage,
            default=name == self.default,
            remark=engine.remark if isinstance(engine, Remarks) else "",
        )

    async def look_forever(self) -> None:
        """Ask all engines how they are now and then, so that nobody waits for the answer."""
        await repeat(self._health.look_at_all, every_seconds=_LOOK_SECONDS, failed="engines-not-asked")

    async def aclose(self) -> None:
        """Let go of all connections; what runs runs on."""
        await self._health.close()
        for engine in self._engines.values():
            if isinstance(engine, Closes):
                await engine.aclose()


def capacity_of(machine: Machine, claimed: Capacity) -> Capacity:
    """Return `claimed` with what the machine has; of what others took the engine may know more than we claimed."""
    has = {"cpu": machine.cpu, "memory": machine.memory, "gpu": machine.gpu}
    taken = {
        "cpu_claimed": max(claimed.cpu_claimed, machine.cpu_taken),
        "memory_claimed": max(claimed.memory_claimed, machine.memory_taken),
        "gpu_claimed": max(claimed.gpu_claimed, machine.gpu_taken),
    }
    return claimed.model_copy(update=has | taken)
