"""Use cases of GPUs: see what they do and who has them, be told when some are free."""

from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import RowMapping

from studiolo.contract.errors import InvalidInput
from studiolo.contract.gpus import GPUHolder, GPUNotify, GPUOverview, GPUState, GPUWait
from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.contract.models import PersonRef, WorkspaceRef
from studiolo.engines.base import GPU
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.kit.repeat import repeat
from studiolo.server.audit.service import Audit
from studiolo.server.engines.engines import Engines
from studiolo.server.gpus import queries
from studiolo.server.gpus.choosing import TURN, Wait, check_wish, decide_turn, describe
from studiolo.server.gpus.leases import Leases
from studiolo.server.notifications.service import Notifications
from studiolo.server.principal import PLATFORM, Principal

# Pages that show who has them read again.
TOPIC = "gpus"
_LOOK_SECONDS = 3.0


class GPUService:
    """All GPUs that engines leave to the platform."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        engines: Engines,
        audit: Audit,
        notifications: Notifications,
        leases: Leases,
    ) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._audit = audit
        self._notifications = notifications
        self._leases = leases

    async def list_(self, who: Principal) -> GPUOverview:
        """Return all GPUs with who has them; where the holder works is told to those who may see it."""
        who.require("gpu.list")
        gpus = await self._look()
        async with self._db.read() as connection:
            rows = await self._leases.list_(connection, member_id=who.person_id)
            wait = await queries.find_wait(connection, who.person_id)
        held = {(row["engine"], row["gpu"]): row for row in rows}
        return GPUOverview(
            gpus=[_wire(engine, gpu, held.get((engine, gpu.id)), who) for engine, its in gpus.items() for gpu in its],
            waiting=_wait_wire(wait) if wait else None,
        )

    async def notify(self, who: Principal, form: GPUNotify) -> GPUWait:
        """Have the caller told once, when as many are free; in place of what they waited for before.

        Raises InvalidInput (`gpu-not-available`, `gpu-type-unknown`, `engine-unknown`) for what never comes.
        """
        who.require("gpu.notify")
        gpus = await self._look()
        engine = self._engines.choose(form.engine or next(iter(gpus), None))
        if engine not in gpus:
            raise InvalidInput(
                "gpu-not-available",
                f"The engine {engine} has no GPUs that the platform hands out.",
                hint=f"Engines that have some: {', '.join(gpus) or 'none'}. Others have a queue of their own.",
                candidates=list(gpus),
            )
        check_wish(gpus[engine], form.count, form.type, engine)
        values = {"person_id": who.person_id, "engine": engine, "count": form.count, "type": form.type}
        values |= {"since": self._clock.now(), "told_at": None}
        async with self._db.write() as tx:
            await queries.set_wait(tx.connection, values)
            await self._audit.record(
                tx,
                who,
                "gpu.notify",
                engine,
                topics=(TOPIC,),
                count=form.count,
                **({"type": form.type} if form.type else {}),
            )
        return _wait_wire(values)

    async def withdraw(self, who: Principal) -> None:
        """Have the caller wait no more; success where they do not."""
        who.require("gpu.withdraw")
        async with self._db.write() as tx:
            if await queries.delete_waits(tx.connection, [who.person_id]):
                await self._audit.record(tx, who, "gpu.withdraw", who.name, topics=(TOPIC,))

    async def forget_person(self, tx: Transaction, person_id: str, display_name: str) -> None:
        """Have an erased person wait no more (promise S15)."""
        await queries.delete_waits(tx.connection, [person_id])

    async def tell_forever(self) -> None:
        """Tell those whose turn it is, now and then."""
        await repeat(self.tell, every_seconds=_LOOK_SECONDS, failed="gpu-waits-not-told")

    async def tell(self) -> None:
        """Tell those whose turn it is."""
        gpus = await self._look()
        if not gpus:
            return
        async with self._db.read() as connection:
            if not await queries.list_waits(connection):
                return
        async with self._db.write() as tx:
            for engine, its in gpus.items():
                await self._tell(tx, engine, its)

    async def _tell(self, tx: Transaction, engine: str, gpus: Sequence[GPU]) -> None:
        now, rows = self._clock.now(), await queries.list_waits(tx.connection)
        waits = [
            Wait(row["person_id"], row["count"], row["type"], row["told_at"]) for row in rows if row["engine"] == engine
        ]
        taken = {row["gpu"] for row in await self._leases.list_(tx.connection) if row["engine"] == engine}
        turn = decide_turn(gpus, taken, waits, now)
        await queries.delete_waits(tx.connection, [wait.person_id for wait in turn.over])
        for wait in turn.told:
            if not await queries.set_told(tx.connection, wait.person_id, now):
                continue
            text = (
                f"{describe(wait.count, wait.type)} {'is' if wait.count == 1 else 'are'} free on {engine}. "
                f"Whoever asked after you is told in {TURN.total_seconds() / 60:.0f} minutes."
            )
            await self._notifications.tell(tx, wait.person_id, "gpu.free", text, "/engines")
            await self._audit.record(tx, PLATFORM, "gpu.free", engine, topics=(TOPIC,), person=wait.person_id)

    async def _look(self) -> Mapping[str, Sequence[GPU]]:
        """Return the GPUs of each engine that has some, the default engine first."""
        found = {name: (await self._engines.machine(name)).gpus for name in self._engines.usable}
        return {name: gpus for name, gpus in found.items() if gpus}


def _wire(engine: str, gpu: GPU, lease: RowMapping | None, who: Principal) -> GPUState:
    return GPUState(
        id=gpu.id,
        engine=engine,
        type=gpu.type,
        model=gpu.model,
        memory=gpu.memory,
        memory_used=gpu.memory_used,
        utilisation=gpu.utilisation,
        holder=_holder(lease, who) if lease else None,
    )


def _holder(lease: RowMapping, who: Principal) -> GPUHolder:
    person = PersonRef(id=lease["person_id"], name=lease["person_name"], display_name=lease["person_display_name"])
    holder, is_session = lease["holder"], looks_like_id(lease["holder"], IdKind.SESSION)
    kind: Literal["session", "kernel"] = "session" if is_session else "kernel"
    if not (lease["is_seen"] or who.is_admin):
        return GPUHolder(person=person, since=lease["since"], kind=kind)
    return GPUHolder(
        person=person,
        since=lease["since"],
        kind=kind,
        session=holder if is_session else None,
        kernel=None if is_session else holder,
        workspace=WorkspaceRef(id=lease["workspace_id"], name=lease["workspace_name"], owner=lease["owner_name"]),
    )


def _wait_wire(row: Mapping[str, object] | RowMapping) -> GPUWait:
    return GPUWait.model_validate({name: row[name] for name in GPUWait.model_fields})
