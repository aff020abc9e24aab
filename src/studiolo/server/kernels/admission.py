"""Whether one more kernel may start, and what it may use: limits on number, on size, on what is free."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import InvalidInput, LimitReached
from studiolo.engines.base import Machine
from studiolo.server.engines.engines import Engines
from studiolo.server.gpus.leases import Holder, Leases
from studiolo.server.kernels import queries
from studiolo.server.kernels.wishes import Wanted
from studiolo.server.moves.queries import check_still
from studiolo.server.sessions import queries as session_queries
from studiolo.server.sessions.admission import Amounts, add_claims, amounts, capacity_to_admit, wish
from studiolo.server.settings.kernels import KernelSettings
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.workspaces.allowance import decide_allowance

# How many times its limit a person may have of kernels that began while the platform was out of reach.
_TIMES_TOLD = 2


class KernelAdmission:
    """Admits kernels one after the other: what was counted still holds when the row is written."""

    def __init__(self, engines: Engines, settings: KernelSettings, resources: ResourceSettings, leases: Leases) -> None:
        self._engines = engines
        self._leases = leases
        self._settings = settings
        self._resources = resources

    async def look(self) -> tuple[str, Machine]:
        """Return engine and machine of headless kernels; asked before the transaction.

        Raises InvalidInput (`engine-unknown`) where people may not use this machine.
        """
        engine = self._engines.here
        if engine not in self._engines.usable:
            raise InvalidInput(
                "engine-unknown",
                "Kernels without a session run on the platform's own machine, which is not for people here.",
                hint="Start a session instead; its kernels run where it runs.",
                candidates=self._engines.usable,
            )
        return engine, await self._engines.machine(engine)

    async def check_numbers(self, connection: AsyncConnection, *, person_id: str, workspace_id: str) -> None:
        """Raise LimitReached (`too-many-kernels`) within the writing transaction that adds one.

        Also Conflict (`workspace-moving`).
        """
        await check_still(connection, workspace_id)
        await session_queries.wait_for_turn(connection)
        limit = self._settings.max_running_per_person
        if await queries.count_alive(connection, person_id=person_id) >= limit:
            raise _too_many(f"You have {limit} kernels running, which is the limit for one person.")
        limit = self._settings.max_running_per_workspace
        if await queries.count_alive(connection, workspace_id=workspace_id) >= limit:
            raise _too_many(f"{limit} kernels run in this workspace, which is the limit for one.")
        limit = self._settings.max_running
        if await queries.count_alive(connection) >= limit:
            raise _too_many(f"{limit} kernels run on this platform, which is its limit.")

    async def check_told(self, connection: AsyncConnection, *, person_id: str) -> None:
        """Raise LimitReached (`too-many-kernels`) for one more kernel that a member's own code says it has.

        Else what one person makes up would count against the limits of all.
        """
        limit = _TIMES_TOLD * self._settings.max_running_per_person
        if await queries.count_alive(connection, person_id=person_id) >= limit:
            raise _too_many(f"You have {limit} kernels running, and more are not counted.")

    async def check_places(self, connection: AsyncConnection, workspace_id: str, *, person_id: str) -> None:
        """As `check_numbers`, for one more place of kernels elsewhere: there are no more of these than kernels.

        A place stays for a while when nobody came back for its kernel, and each size that is asked for has its own.
        """
        await self.check_numbers(connection, person_id=person_id, workspace_id=workspace_id)
        limit, places = self._settings.max_running_per_person, session_queries.KERNELS
        if await session_queries.count_alive(connection, person_id, kind=places) >= limit:
            raise _too_many(f"You have {limit} places for kernels on other engines, which is the limit for one person.")
        limit = self._settings.max_running
        if await session_queries.count_alive(connection, kind=places) >= limit:
            raise _too_many(f"{limit} places for kernels are taken on this platform, which is its limit.")

    async def admit(
        self,
        connection: AsyncConnection,
        engine: str,
        machine: Machine,
        wanted: Wanted,
        config: Mapping[str, Any] | None,
        holder: Holder,
    ) -> Amounts:
        """Return what a headless kernel may use, after `check_numbers` in the same transaction.

        `config`: the workspace's. GPUs are leased to the kernel. Raises LimitReached (`limit-exceeded`,
        `capacity-exceeded`, `gpus-taken`), InvalidInput (`engine-storage`, `isolation-too-low`, …).
        """
        of_workspace = config or {}
        self._engines.check_move(of_workspace.get("engine"), engine)
        self._engines.check_isolation(engine, of_workspace.get("min_isolation"))
        profile, own = wish(amounts(wanted.profile, wanted.resources), config)
        claimed = add_claims(await session_queries.claimed(connection, engine), await queries.claimed(connection))
        allowed = decide_allowance(
            profile=profile,
            own=own,
            settings=self._resources.of_person(holder.person),
            machine=capacity_to_admit(machine, claimed),
            images=self._engines.images_of(engine),
            check_free=True,
        )
        await self._leases.lease(connection, engine, machine, allowed, holder)
        return amounts(profile or self._resources.default_profile or None, allowed)


def _too_many(message: str) -> LimitReached:
    return LimitReached(
        "too-many-kernels", message, hint="Stop one: studiolo kernels list shows them. Or ask an administrator."
    )
