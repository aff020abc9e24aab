"""Approvals and exceptions: what somebody allowed beside the rules, until it ends or is taken back."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from sqlalchemy import RowMapping

from studiolo.contract.errors import NotFound
from studiolo.contract.ids import IdKind, new_id
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.packages.names import canonical, key
from studiolo.packages.policy.decisions import Ecosystem
from studiolo.packages.policy.effective import Grant
from studiolo.packages.policy.rules import read_specifier
from studiolo.server.audit.service import Audit
from studiolo.server.packages import queries
from studiolo.server.principal import Principal


class Grants:
    """Adds grants inside the transactions of those who decide and ask who may; revokes them by itself."""

    def __init__(self, db: Database, clock: Clock, audit: Audit) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        # Told after each change, once it is durable: policies that were made of grants are stale.
        self.on_changed: Callable[[], None] = lambda: None

    async def add(
        self,
        tx: Transaction,
        who: Principal,
        *,
        kind: Literal["approval", "exception"],
        workspace_id: str | None,
        ecosystem: Ecosystem,
        name: str,
        specifier: str = "",
        reason: str,
        until: datetime | None = None,
        request_id: str | None = None,
    ) -> str:
        """Grant a package, or the versions in `specifier`, in a workspace (None: everywhere); return the grant's id.

        Who decides records it in the same transaction. Policies know of it at the first question after the commit.
        Raises ValueError, with words for people, for a name or versions that are none.
        """
        values = {
            "id": new_id(IdKind.GRANT),
            "kind": kind,
            "workspace_id": workspace_id,
            "ecosystem": ecosystem,
            "name": key(canonical(ecosystem, name)),
            "specifier": read_specifier(specifier),
            "reason": reason,
            "request_id": request_id,
            "made_by": who.person_id or None,
            "made_at": self._clock.now(),
            "until": until,
        }
        await queries.insert_grant(tx.connection, values)
        tx.after_commit(lambda: self.on_changed())
        return str(values["id"])

    async def revoke(self, who: Principal, grant_id: str) -> None:
        """End a grant now (administrators); one that ended stays so. Raises NotFound (`grant-not-found`)."""
        who.require("policy.change-platform")
        async with self._db.write() as tx:
            row = await queries.find_grant(tx.connection, grant_id)
            if row is None:
                missing = f"There is no approval or exception {grant_id[:40]!r}."
                raise NotFound("grant-not-found", missing, hint="studiolo policy show lists them.")
            if row["revoked_at"] is not None:
                return
            await queries.revoke_grant(tx.connection, grant_id, self._clock.now())
            package = f"{row['name']}{row['specifier']}"
            await self._audit.record(
                tx, who, "package.revoked", package, workspace_id=row["workspace_id"], topics=("policy",)
            )
            tx.after_commit(lambda: self.on_changed())


def grant_of(row: RowMapping) -> Grant:
    """Return a row as the policy's word for it."""
    maker = row["maker_display"] or row["maker"] or "an administrator"
    words = "approved" if row["kind"] == "approval" else "excepted"
    return Grant(
        row["kind"],
        row["ecosystem"],
        row["name"],
        row["specifier"],
        row["reason"],
        f"{words} by {maker} on {row['made_at']:%-d %B %Y}",
        row["until"],
        row["id"],
    )
