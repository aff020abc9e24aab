"""What the guards of kernels refused to cells, as they tell it: in the record, once a minute for each rule."""

import hashlib

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.models import AuditEvent
from studiolo.contract.policies import GuardFinding
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.audit.service import Audit
from studiolo.server.audit.tables import audit_events
from studiolo.server.packages.effective import Policies
from studiolo.server.principal import Principal
from studiolo.server.workspaces.service import Workspaces

GUARD = "package.guard"


class Guarding:
    """Writes what workloads tell; of which person and session it is, their narrow key says."""

    def __init__(self, db: Database, clock: Clock, audit: Audit, workspaces: Workspaces, policies: Policies) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._workspaces = workspaces
        self._policies = policies

    async def tell(self, who: Principal, reference: str, form: GuardFinding) -> None:
        """Record a finding, unless one of the rule was in this minute, or the policy has the rule no longer."""
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, GUARD)
        _, policy = await self._policies.effective(row["id"])
        if form.rule not in {rule.name for rule in policy.code}:
            return
        minute = int(self._clock.now().timestamp()) // 60
        entry = hashlib.sha256(repr((who.person_id, who.key_id, form.rule, minute)).encode()).hexdigest()[:32]
        async with self._db.write() as tx:
            if await _is_there(tx.connection, row["id"], entry):
                return
            told = {"call": form.call, "kernel": form.kernel, "session": who.session_id, "policy": policy.hash}
            topics = (f"workspace:{row['id']}",)
            await self._audit.record(
                tx, who, GUARD, form.rule, workspace_id=row["id"], topics=topics, entry=entry, **told
            )

    async def list_newest(self, who: Principal, reference: str, limit: int) -> list[AuditEvent]:
        """Return the newest findings of a workspace."""
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, "scan.read")
        found = await self._audit.list_(who, workspace_id=row["id"], action=GUARD, limit=limit)
        return found.items


async def _is_there(connection: AsyncConnection, workspace_id: str, entry: str) -> bool:
    table = audit_events
    query = select(table.c.id).where(
        table.c.workspace_id == workspace_id,
        table.c.action == GUARD,
        table.c.detail["entry"].as_string() == entry,
    )
    return (await connection.execute(query.limit(1))).first() is not None
