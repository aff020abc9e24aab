"""Adds kernels: a row, within a session's launch or headless, with the key and the audit event that belong to it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict
from studiolo.gateway.base import Wish
from studiolo.gateway.offers.environments import hash_of
from studiolo.gateway.offers.specs import Spec
from studiolo.kit.clock import Clock
from studiolo.kit.db import Transaction
from studiolo.server.accounts.keys import Keys
from studiolo.server.audit.service import Audit
from studiolo.server.kernels import queries
from studiolo.server.kernels.admission import KernelAdmission
from studiolo.server.kernels.secrets import KernelSecrets
from studiolo.server.principal import Principal
from studiolo.server.sessions.queries import KERNELS

_LONGEST_NAME = 200
_LONGEST_PATH = 1024


class KernelRows:
    """Writes within the transaction that admits. A kernel's id is used once."""

    def __init__(
        self, clock: Clock, keys: Keys, audit: Audit, admission: KernelAdmission, kernel_secrets: KernelSecrets
    ) -> None:
        self._clock = clock
        self._keys = keys
        self._audit = audit
        self._admission = admission
        self._secrets = kernel_secrets

    async def find(self, connection: AsyncConnection, scope: str, wish: Wish) -> RowMapping | None:
        """Return the row of a kernel that was reserved before: asked for again, or to be started anew after its end.

        Raises Conflict (`kernel-exists`) for one of another scope.
        """
        known = (await queries.list_by_ids(connection, [str(wish.kernel_id)])).get(str(wish.kernel_id))
        if known is not None and known["scope"] != scope:
            raise Conflict("kernel-exists", "A kernel of this id exists already.", hint="Leave the id out.")
        return known

    async def add_to_session(
        self, tx: Transaction, who: Principal, row: RowMapping, wish: Wish, spec: Spec | None, *, runs: bool = False
    ) -> bool:
        """Add a kernel that is to start in the launch of a session that runs; once, however often it is asked for.

        `runs`: it was started already, so that limits on the number of kernels keep it from nothing; but whoever says
        so may make it up. Returns whether it was not there. Raises Conflict (`kernel-exists`), LimitReached
        (`too-many-kernels`).
        """
        scope = f"{row['id']}.{row['handle_launch']}"
        known = await self.find(tx.connection, scope, wish)
        if known is not None and known["ended_at"] is None:
            return False
        if runs:
            await self._admission.check_told(tx.connection, person_id=who.person_id)
        else:
            await self._admission.check_numbers(
                tx.connection, person_id=who.person_id, workspace_id=row["workspace_id"]
            )
        await self._insert(tx, who, wish, scope, row["workspace_id"], session_id=row["id"], spec=spec)
        if row["kind"] == KERNELS:
            await self._record(tx, who, row["workspace_id"], wish, spec)
        # Within a session kernels come and go like cells: its record has the session.
        return True

    async def add_headless(
        self, tx: Transaction, who: Principal, workspace_id: str, wish: Wish, spec: Spec, allowed: Mapping[str, Any]
    ) -> None:
        """Add a kernel of this machine that was admitted, with a key of its own."""
        await self._insert(tx, who, wish, workspace_id, workspace_id, spec=spec, allowed=allowed)
        await self._keys.add_kernel_key(
            tx,
            self._secrets.api_key(str(wish.kernel_id)),
            person_id=who.person_id,
            kernel_id=str(wish.kernel_id),
            workspace_id=workspace_id,
        )
        await self._record(tx, who, workspace_id, wish, spec)

    async def _insert(
        self,
        tx: Transaction,
        who: Principal,
        wish: Wish,
        scope: str,
        workspace_id: str,
        *,
        session_id: str | None = None,
        spec: Spec | None = None,
        allowed: Mapping[str, Any] | None = None,
    ) -> None:
        kernel_id, name = str(wish.kernel_id), (spec.name if spec else wish.spec_name or "python3")[:_LONGEST_NAME]
        values = {
            "id": kernel_id,
            "scope": scope,
            "workspace_id": workspace_id,
            "session_id": session_id,
            "person_id": who.person_id,
            "spec": name,
            "display_name": (spec.display_name if spec else name)[:_LONGEST_NAME],
            "path": wish.path[:_LONGEST_PATH] if wish.path else None,
            "state": "starting",
            "allowed": allowed,
            "environment": hash_of(spec.metadata) if spec else None,
            "created_at": self._clock.now(),
        }
        await queries.forget(tx.connection, kernel_id)
        await queries.insert_kernel(tx.connection, values)

    async def _record(self, tx: Transaction, who: Principal, workspace_id: str, wish: Wish, spec: Spec | None) -> None:
        topics = ("home", "kernels", f"workspace:{workspace_id}")
        name = spec.display_name if spec else wish.spec_name or "python3"
        detail = {"kernel": wish.kernel_id, "path": wish.path}
        await self._audit.record(tx, who, "kernel.start", name, workspace_id=workspace_id, topics=topics, **detail)
