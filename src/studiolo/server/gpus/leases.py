"""Lease GPUs to launches that are admitted. A lease ends with its holder, however that ends."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.resources import Resources
from studiolo.engines.base import Machine
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.gpus import queries
from studiolo.server.gpus.choosing import Lease, choose_gpus, gpu_variables

# Says who of one kind lives, as (id, launch).
Living = Callable[[AsyncConnection], Awaitable[set[tuple[str, int]]]]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is to start and may have GPUs: a session's launch, or a kernel, whose launch is 0. `person`: their name."""

    id: str
    person_id: str
    person: str
    workspace_id: str
    launch: int = 0


class Leases:
    """Who has which GPU. `living`: all who may hold some; added by the composition root."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self.living: tuple[Living, ...] = ()

    async def lease(
        self, connection: AsyncConnection, engine: str, machine: Machine, allowed: Resources, holder: Holder
    ) -> None:
        """Lease what was allowed, within the transaction that admits the launch and after its turn has come.

        Nothing on engines that hand out GPUs themselves. Raises as `choosing.choose_gpus`.
        """
        if not allowed.gpu or not machine.gpus:
            return
        living = await self._list_living(connection)
        leases = []
        for row in await queries.list_leases(connection):
            if (row["holder"], row["launch"]) not in living:
                await queries.delete_of(connection, row["holder"], row["launch"])
            elif row["engine"] == engine:
                leases.append(Lease(row["gpu"], row["holder"], row["person_display_name"], row["since"]))
        chosen = choose_gpus(
            machine.gpus, leases, count=allowed.gpu, kind=allowed.gpu_type, holder=holder.id, engine=engine
        )
        values = {"engine": engine, "holder": holder.id, "launch": holder.launch, "since": self._clock.now()}
        values |= {"person_id": holder.person_id, "workspace_id": holder.workspace_id}
        await queries.take(connection, chosen, values)
        await queries.delete_waits(connection, [holder.person_id], engine)

    async def list_(self, connection: AsyncConnection, *, member_id: str = "") -> list[RowMapping]:
        """Return the leases that count; see `queries.list_leases`."""
        living = await self._list_living(connection)
        rows = await queries.list_leases(connection, member_id=member_id)
        return [row for row in rows if (row["holder"], row["launch"]) in living]

    async def variables(self, machine: Machine, holder: str, launch: int = 0) -> Mapping[str, str]:
        """Return the environment variables that show a launch its own GPUs alone."""
        async with self._db.read() as connection:
            leased = await queries.list_gpus_of(connection, holder, launch)
        return gpu_variables(machine.gpus, leased)

    async def _list_living(self, connection: AsyncConnection) -> set[tuple[str, int]]:
        return set().union(*[await source(connection) for source in self.living])
