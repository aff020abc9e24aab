"""Whether one more launch may begin, and what it may use: limits on number, on size, on what is free."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import LimitReached
from studiolo.contract.resources import Capacity, Resources
from studiolo.engines.base import Machine
from studiolo.server.engines.engines import Engines, capacity_of
from studiolo.server.gpus.leases import Holder, Leases
from studiolo.server.sessions import queries
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.settings.sessions import SessionSettings
from studiolo.server.workspaces.allowance import decide_allowance
from studiolo.server.workspaces.volumes import check_volumes

# What a row keeps as `asked` and `allowed`: {"profile": name or None, "resources": those members that were given};
# with "engine" where one was asked for.
Amounts = dict[str, Any]


class Admission:
    """Admits launches one after the other: what was counted still holds when the launch is written."""

    def __init__(
        self, engines: Engines, sessions: SessionSettings, resources: ResourceSettings, leases: Leases
    ) -> None:
        self._engines = engines
        self._leases = leases
        self._sessions = sessions
        self._resources = resources
        # What runs beside the sessions and claims its share; set by the composition root.
        self.beside: Callable[[AsyncConnection], Awaitable[Capacity]] | None = None

    async def look(self) -> Mapping[str, Machine]:
        """Return what each engine's machine has; asked before the transaction, since no engine is called in one."""
        found = await asyncio.gather(*(self._engines.machine(name) for name in self._engines))
        return dict(zip(self._engines, found, strict=True))

    async def admit(
        self,
        connection: AsyncConnection,
        machines: Mapping[str, Machine],
        *,
        engine: str,
        holder: Holder,
        asked: Mapping[str, Any] | None,
        config: Mapping[str, Any] | None,
        is_counted: bool = True,
    ) -> Amounts:
        """Return what the launch `holder` may use, within the writing transaction that adds it.

        `config`: the workspace's. `is_counted`: the limits on the number of sessions are for it too. What the session
        holds itself counts as free. GPUs are leased to it.
        Raises LimitReached (`too-many-sessions`, `limit-exceeded`, `capacity-exceeded`, `gpus-taken`), InvalidInput,
        Denied (`volume-not-allowed`).
        """
        await queries.wait_for_turn(connection)
        if is_counted:
            await self._check_numbers(connection, holder.person_id, holder.id)
        volumes = (config or {}).get("volumes") or ()
        check_volumes(volumes, self._resources.volumes, self._engines, engine, person=holder.person)
        profile, own = wish(asked, config)
        claimed = await queries.claimed(connection, engine, besides=holder.id)
        if self.beside is not None and engine == self._engines.here:
            claimed = add_claims(claimed, await self.beside(connection))
        allowed = decide_allowance(
            profile=profile,
            own=own,
            settings=self._resources.of_person(holder.person),
            machine=capacity_to_admit(machines[engine], claimed),
            images=self._engines.images_of(engine),
            check_free=True,
        )
        await self._leases.lease(connection, engine, machines[engine], allowed, holder)
        return amounts(profile or self._resources.default_profile or None, allowed)

    async def _check_numbers(self, connection: AsyncConnection, person_id: str, session_id: str) -> None:
        limit = self._sessions.max_running_per_person
        if await queries.count_alive(connection, person_id, besides=session_id, kind=queries.SESSION) >= limit:
            raise LimitReached(
                "too-many-sessions",
                f"You have {limit} sessions running, which is the limit for one person.",
                hint="Stop one: studiolo sessions shows them.",
            )
        running = await queries.count_alive(connection, besides=session_id, kind=queries.SESSION)
        if running >= self._sessions.max_running:
            raise LimitReached(
                "too-many-sessions",
                f"{self._sessions.max_running} sessions run on this platform, which is its limit.",
                hint="Try again when somebody has stopped one, or ask an administrator.",
            )


def capacity_to_admit(machine: Machine, claimed: Capacity) -> Capacity:
    """Return what a launch is compared with. Where GPUs are leased one by one the leases say which are free."""
    return capacity_of(machine, claimed.model_copy(update={"gpu_claimed": 0}) if machine.gpus else claimed)


def add_claims(one: Capacity, other: Capacity) -> Capacity:
    """Return what both claim together."""
    return Capacity(
        cpu_claimed=one.cpu_claimed + other.cpu_claimed,
        memory_claimed=one.memory_claimed + other.memory_claimed,
        gpu_claimed=one.gpu_claimed + other.gpu_claimed,
    )


def amounts(profile: str | None, resources: Resources, engine: str | None = None) -> Amounts:
    """Return the form in which rows keep amounts."""
    kept = {"profile": profile, "resources": resources.model_dump(exclude_none=True)}
    return kept | {"engine": engine} if engine else kept


def wish(asked: Mapping[str, Any] | None, config: Mapping[str, Any] | None) -> tuple[str | None, Resources]:
    """Return profile and free numbers of a launch: its own over its workspace's.

    A profile named for the launch replaces the workspace's profile together with the numbers that adjust it.
    """
    asked, config = asked or {}, config or {}
    own = Resources.model_validate(asked.get("resources") or {})
    if asked.get("profile"):
        return asked["profile"], own
    return config.get("profile"), own.over(Resources.model_validate(config.get("resources") or {}))
