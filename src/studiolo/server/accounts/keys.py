"""Use cases of API keys: those that people make, and the narrow ones of sessions."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from sqlalchemy import RowMapping

from studiolo.contract.errors import Denied, InvalidInput, NotFound
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import KeyCreate, KeyCreated, KeyInfo
from studiolo.contract.operations import GATEWAY_SCOPE, SCOPES
from studiolo.kit.clock import Clock
from studiolo.kit.crypto import new_token
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts import queries
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal

# What sessions and headless kernels may, in their workspace and as far as their person may.
_OF_WORKLOADS = ["packages:write", "sessions:read", "workspaces:read"]


class Keys:
    """Keys are shown once and stored as keyed hashes."""

    def __init__(self, db: Database, clock: Clock, authentication: Authentication, audit: Audit) -> None:
        self._db = db
        self._clock = clock
        self._authentication = authentication
        self._audit = audit
        # What closes when a key is revoked; set by the composition root.
        self.on_ended: Callable[[str, set[str]], None] = lambda person_id, keys: None
        # Finds the id of a workspace that a person names; set by the composition root.
        self.find_workspace: Callable[[Principal, str], Awaitable[str]]

    async def list_keys(self, who: Principal) -> list[KeyInfo]:
        """Return the person's keys, newest first."""
        who.require("account.read")
        async with self._db.read() as connection:
            return [key_info(row) for row in await queries.list_keys(connection, who.person_id)]

    async def create_key(self, who: Principal, form: KeyCreate) -> KeyCreated:
        """Make a key; nobody gives a key more than they hold. Raises InvalidInput (`scope-unknown`), Denied.

        For a gateway key also NotFound (`workspace-not-found`) and InvalidInput (`request-invalid`).
        """
        who.require("key.create")
        if form.kind == "gateway":
            return await self._create_gateway_key(who, form)
        if form.workspace is not None:
            raise InvalidInput("request-invalid", "Only a key of kind `gateway` can be bound to a workspace.")
        async with self._db.write() as tx:
            return await self.add_key(tx, who, form)

    async def add_key(self, tx: Transaction, who: Principal, form: KeyCreate) -> KeyCreated:
        """The same inside a transaction, for sign-ins that end in a key."""
        scopes = self._grantable(who, form.scopes)
        key = new_token("sto")
        info = self._key_info(key, form.name, scopes, timedelta(days=form.expires_in_days))
        await self._insert(tx, key, info, who.person_id)
        await self._audit.record(tx, who, "key.create", info.id, name=form.name, scopes=scopes)
        return KeyCreated(key=key, **info.model_dump())

    async def revoke_key(self, who: Principal, key_id: str) -> None:
        """Revoke one of the person's keys; raises NotFound (`key-not-found`)."""
        who.require("key.revoke")
        async with self._db.write() as tx:
            if not await queries.delete_key(tx.connection, person_id=who.person_id, key_id=key_id):
                raise NotFound("key-not-found", f"You have no key {key_id[:32]!r}.", hint="studiolo keys list")
            await self._audit.record(tx, who, "key.revoke", key_id)
            tx.after_commit(self._authentication.forget)
            tx.after_commit(lambda: self.on_ended(who.person_id, {key_id}))

    async def add_session_key(
        self, tx: Transaction, key: str, *, person_id: str, session_id: str, workspace_id: str
    ) -> None:
        """Admit the narrow key of a session's launch, replacing earlier ones: it reads its own workspace only."""
        await queries.delete_session_keys(tx.connection, session_id)
        info = self._key_info(key, "session", _OF_WORKLOADS, timedelta(days=90))
        await self._insert(tx, key, info, person_id, session_id=session_id, workspace_id=workspace_id)
        tx.after_commit(self._authentication.forget)

    async def revoke_session_keys(self, tx: Transaction, session_id: str) -> None:
        """End the keys of a session that stopped."""
        await queries.delete_session_keys(tx.connection, session_id)
        tx.after_commit(self._authentication.forget)

    async def add_kernel_key(
        self, tx: Transaction, key: str, *, person_id: str, kernel_id: str, workspace_id: str
    ) -> None:
        """Admit the narrow key of a headless kernel, as of a session."""
        info = self._key_info(key, "kernel", _OF_WORKLOADS, timedelta(days=90))
        await self._insert(tx, key, info, person_id, kernel_id=kernel_id, workspace_id=workspace_id)

    async def revoke_kernel_keys(self, tx: Transaction, kernel_ids: Iterable[str]) -> None:
        """End the keys of kernels that ended."""
        await queries.delete_kernel_keys(tx.connection, kernel_ids)
        tx.after_commit(self._authentication.forget)

    async def _create_gateway_key(self, who: Principal, form: KeyCreate) -> KeyCreated:
        if form.scopes not in (None, [GATEWAY_SCOPE]):
            raise InvalidInput("scope-unknown", f"A gateway key has the scope {GATEWAY_SCOPE!r} and no other.")
        # It starts kernels, as this does; and no key makes another that may more than itself.
        who.require("kernel.start")
        workspace_id = await self.find_workspace(who, form.workspace) if form.workspace else who.workspace_id
        key = new_token("stg")
        info = self._key_info(key, form.name, [GATEWAY_SCOPE], timedelta(days=form.expires_in_days))
        info = info.model_copy(update={"kind": "gateway", "workspace_id": workspace_id})
        async with self._db.write() as tx:
            await self._insert(tx, key, info, who.person_id)
            await self._audit.record(
                tx, who, "key.create", info.id, workspace_id=workspace_id, name=form.name, scopes=info.scopes
            )
        return KeyCreated(key=key, **info.model_dump())

    async def _insert(self, tx: Transaction, key: str, info: KeyInfo, person_id: str, **bound: str) -> None:
        token_hash = self._authentication.hash_key(key)
        values = {**info.model_dump(exclude={"kind"}), "person_id": person_id, "token_hash": token_hash, **bound}
        await queries.insert_key(tx.connection, values)

    def _grantable(self, who: Principal, wanted: list[str] | None) -> list[str]:
        held = {s for s in SCOPES if s != "platform:admin" or who.is_admin}
        if who.scopes is not None:
            held &= who.scopes
        if wanted is None:
            return sorted(held)
        if unknown := [s for s in wanted if s not in SCOPES]:
            raise InvalidInput(
                "scope-unknown",
                f"There is no scope {unknown[0][:40]!r}.",
                hint=f"Scopes are {', '.join(sorted(SCOPES))}.",
            )
        if more := sorted(set(wanted) - held):
            raise Denied("scope-missing", f"You do not hold {more[0]!r} and cannot give it to a key.")
        return sorted(set(wanted))

    def _key_info(self, key: str, name: str, scopes: list[str], lifetime: timedelta) -> KeyInfo:
        now = self._clock.now()
        return KeyInfo(
            id=new_id(IdKind.KEY),
            name=name,
            prefix=key[:10],
            scopes=scopes,
            created_at=now,
            expires_at=now + lifetime,
            last_used_at=None,
        )


def key_info(row: RowMapping) -> KeyInfo:
    """Return a key's row as its person sees it."""
    kind = "gateway" if row["scopes"] == [GATEWAY_SCOPE] else "account"
    return KeyInfo.model_validate(dict(row) | {"kind": kind})
