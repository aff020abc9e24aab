"""Use cases of policies: show, set, history, check. The organisation's is meant where no workspace is named."""

from collections.abc import Sequence

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.archives import ArchivedPolicy
from studiolo.contract.errors import Conflict, Denied, InvalidInput, NotFound
from studiolo.contract.models import Page
from studiolo.contract.policies import EffectivePolicy, Judgement, PolicyRevision, PolicySet
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.packages.names import canonical
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Ecosystem, Subject
from studiolo.packages.policy.documents import read_default_text, read_document
from studiolo.packages.policy.rules import read_version
from studiolo.server.audit.service import Audit
from studiolo.server.packages import queries
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.wire import effective_wire, judgement_wire, revision_wire
from studiolo.server.principal import Principal
from studiolo.server.workspaces.service import Workspaces

_MAX_PAGE = 200
_BEGINNING = """\
# What holds here besides the organisation's policy. Only an administrator can widen that one.
package_management:
  blocked_packages: []
  approval_required: []
"""


class PolicyRevisions:
    """Revisions of policies, and what follows from them."""

    def __init__(self, db: Database, clock: Clock, audit: Audit, workspaces: Workspaces, policies: Policies) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._workspaces = workspaces
        self._policies = policies

    async def show(self, who: Principal, reference: str | None) -> EffectivePolicy:
        """Return what holds. Raises NotFound (`workspace-not-found`)."""
        async with self._db.read() as connection:
            workspace = await self._find(connection, who, reference, "policy.read")
            row = await queries.find_revision(connection, _scope(workspace))
        number, policy = await self._policies.effective(workspace["id"] if workspace is not None else None)
        revision = revision_wire(row) if row is not None else None
        beginning = _BEGINNING if workspace is not None else read_default_text()
        return effective_wire(
            policy,
            number=number,
            workspace=workspace["name"] if workspace is not None else None,
            revision=revision,
            document=revision.document if revision else beginning,
        )

    async def is_unseen(self, who: Principal) -> bool:
        """Tell whether the caller may set the organisation's policy and nobody has done so yet. Cheap."""
        try:
            who.require("policy.change-platform")
        except Denied:
            return False
        async with self._db.read() as connection:
            return await queries.find_revision(connection, queries.PLATFORM) is None

    async def set(self, who: Principal, reference: str | None, form: PolicySet) -> EffectivePolicy:
        """Add a revision; it holds at the next question. Raises InvalidInput (`policy-invalid`), which names each bad
        entry with its line, Conflict (`policy-changed`), NotFound (`workspace-not-found`).
        """
        async with self._db.read() as connection:
            workspace = await self._find(connection, who, reference, "policy.change")
        read_document(form.document, "", now=self._clock.now())
        scope = _scope(workspace)
        try:
            async with self._db.write() as tx:
                latest = await queries.find_revision(tx.connection, scope)
                number = latest["number"] + 1 if latest is not None else 1
                if form.after not in (None, number - 1):
                    raise _changed(number - 1)
                values = {
                    "scope": scope,
                    "number": number,
                    "document": form.document,
                    "note": form.note.strip(),
                    "by_administrator": who.is_admin,
                    "may_widen": who.is_admin,
                    "made_by": who.person_id or None,
                    "made_at": self._clock.now(),
                }
                await queries.insert_revision(tx.connection, values)
                await self._audit.record(
                    tx,
                    who,
                    "policy.revise",
                    workspace["name"] if workspace is not None else "organisation",
                    workspace_id=workspace["id"] if workspace is not None else None,
                    topics=("policy",),
                    number=number,
                    note=values["note"],
                )
                tx.after_commit(self._policies.forget)
        except IntegrityError as exc:
            raise _changed(number) from exc
        return await self.show(who, reference)

    async def carry(self, tx: Transaction, original: str, copy: str) -> None:
        """Have a copy of a workspace keep to the original's own policy; what that widened was not meant for it."""
        note = "As in the workspace that this is a copy of."
        for number, row in enumerate(await queries.list_holding(tx.connection, original), start=1):
            await self._insert_narrow(tx, copy, number, _archived(row), note=note, made_by=row["made_by"])

    async def to_archive(self, connection: AsyncConnection, workspace_id: str) -> list[ArchivedPolicy]:
        """Return the revisions of a workspace's own policy that hold; implements ArchivedPolicies, as the next two."""
        return [_archived(row) for row in await queries.list_holding(connection, workspace_id)]

    def check_archived(self, policies: Sequence[ArchivedPolicy]) -> None:
        """Raise InvalidInput (`policy-invalid`) for what cannot be read here."""
        for policy in policies:
            read_document(policy.document, "the archive's policy")

    async def from_archive(
        self, tx: Transaction, who: Principal, workspace_id: str, policies: Sequence[ArchivedPolicy]
    ) -> None:
        """Have a workspace that came as an archive keep to its policies, as far as they narrow."""
        note = "As in the archive that this workspace came from."
        for number, policy in enumerate(policies, start=1):
            await self._insert_narrow(tx, workspace_id, number, policy, note=note, made_by=who.person_id or None)

    async def _insert_narrow(
        self, tx: Transaction, scope: str, number: int, policy: ArchivedPolicy, *, note: str, made_by: str | None
    ) -> None:
        values = {
            "scope": scope,
            "number": number,
            "document": policy.document,
            "note": note,
            "by_administrator": policy.by_administrator,
            "may_widen": False,
            "made_by": made_by,
            "made_at": self._clock.now(),
        }
        await queries.insert_revision(tx.connection, values)

    async def history(
        self, who: Principal, reference: str | None, *, cursor: str | None = None, limit: int = 50
    ) -> Page[PolicyRevision]:
        """Return the revisions of a scope, the latest first. Raises NotFound (`workspace-not-found`)."""
        limit = max(1, min(limit, _MAX_PAGE))
        before = int(cursor) if cursor and cursor.isascii() and cursor.isdecimal() and len(cursor) < 10 else None
        async with self._db.read() as connection:
            workspace = await self._find(connection, who, reference, "policy.read")
            rows = await queries.list_revisions(connection, _scope(workspace), before=before, limit=limit + 1)
        items = [revision_wire(row) for row in rows[:limit]]
        return Page(items=items, next_cursor=str(items[-1].number) if len(rows) > limit else None)

    async def revision(self, who: Principal, reference: str | None, number: int) -> PolicyRevision:
        """Return one revision. Raises NotFound (`policy-not-found`, `workspace-not-found`)."""
        async with self._db.read() as connection:
            workspace = await self._find(connection, who, reference, "policy.read")
            row = await queries.find_revision(connection, _scope(workspace), number)
        if row is None:
            raise NotFound(
                "policy-not-found", f"There is no revision {number}.", hint="studiolo policy history lists them."
            )
        return revision_wire(row)

    async def check(
        self, who: Principal, reference: str | None, name: str, *, version: str | None, ecosystem: Ecosystem
    ) -> Judgement:
        """Return what holds for a package by its name, without looking for it anywhere.

        Raises InvalidInput (`request-invalid`) for what is no name or version, NotFound (`workspace-not-found`).
        """
        async with self._db.read() as connection:
            workspace = await self._find(connection, who, reference, "policy.read")
        try:
            subject = Subject(ecosystem, canonical(ecosystem, name), version)
        except ValueError as exc:
            raise InvalidInput("request-invalid", f"{exc}.", hint="Write a name, as numpy or numpy==2.0.0.") from exc
        if version is not None and ecosystem == "pypi" and read_version(version) is None:
            raise InvalidInput("request-invalid", f"{version[:60]!r} is no version.", hint="Write one such as 2.0.0.")
        _, policy = await self._policies.effective(workspace["id"] if workspace is not None else None)
        return judgement_wire(subject, decide(policy, subject, self._clock.now()))

    async def _find(
        self, connection: AsyncConnection, who: Principal, reference: str | None, operation: str
    ) -> RowMapping | None:
        if reference is None:
            who.require(f"{operation}-platform")
            return None
        return await self._workspaces.resolve(connection, who, reference, operation)


def _scope(workspace: RowMapping | None) -> str:
    return queries.PLATFORM if workspace is None else str(workspace["id"])


def _archived(row: RowMapping) -> ArchivedPolicy:
    return ArchivedPolicy(document=row["document"], by_administrator=row["by_administrator"])


def _changed(number: int) -> Conflict:
    return Conflict(
        "policy-changed",
        f"The policy has changed since you read it: it is at revision {number}; nothing was set.",
        hint="Read it again, then repeat what you want.",
    )
