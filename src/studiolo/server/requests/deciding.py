"""Use cases of administrators: approve what was asked for, or deny it with a reason; have it installed again."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.contract.requests import LIFTED_BY_EXCEPTION, Approval, Denial, PackageRequest
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.packages.policy.decisions import Decision
from studiolo.packages.policy.effective import Grant
from studiolo.server.audit.service import Audit
from studiolo.server.notifications.service import Notifications
from studiolo.server.packages.grants import Grants
from studiolo.server.principal import Principal
from studiolo.server.requests import queries
from studiolo.server.requests.service import TOPICS, Requests, check_pending, link_of
from studiolo.server.requests.wishes import read_versions

Kind = Literal["approval", "exception"]


class Decisions:
    """What administrators do with requests. `on_approved(id)`: it is to be installed."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        requests: Requests,
        notifications: Notifications,
        grants: Grants,
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._requests = requests
        self._notifications = notifications
        self._grants = grants
        self.on_approved: Callable[[str], None] = lambda request_id: None

    async def approve(self, who: Principal, request_id: str, form: Approval) -> PackageRequest:
        """Allow what was asked for and have it installed; with the scope `global` for all who asked for that name.

        Raises NotFound, Conflict (`request-decided`, `approval-not-enough`), InvalidInput (`request-invalid`).
        """
        who.require("request.decide")
        self._check(form)
        asked = await self._requests.get(who, request_id)
        check_pending(asked)
        specifier = asked.specifier if form.version is None else read_versions(form.version)
        kind: Kind = "exception" if form.exception else "approval"
        wanted = self._wanted(asked, form, specifier)
        await self._check_enough(asked, kind, wanted, form.until)
        async with self._db.write() as tx:
            answered = await self._take(tx, who, asked, form, specifier)
            for name, versions in wanted.items():
                await self._grants.add(
                    tx,
                    who,
                    kind=kind,
                    workspace_id=None if form.scope == "global" else asked.workspace.id,
                    ecosystem=asked.ecosystem,
                    name=name,
                    specifier=versions,
                    reason=form.reason or "It was asked for.",
                    until=form.until,
                    request_id=request_id,
                )
            for one in answered:
                await self._told(tx, who, one, "package.approved", form.reason, scope=form.scope, kind=kind)
            return await self._requests.read(tx.connection, request_id)

    async def deny(self, who: Principal, request_id: str, form: Denial) -> PackageRequest:
        """Refuse what was asked for; who asked is told the reason. Raises NotFound, Conflict (`request-decided`)."""
        who.require("request.decide")
        if not form.reason.strip():
            raise InvalidInput("request-invalid", "A denial needs a reason: who asked reads it.")
        async with self._db.write() as tx:
            row = await self._requests.find(tx.connection, who, request_id)
            values = {
                "state": "denied",
                "decided_by": who.person_id or None,
                "decided_at": self._clock.now(),
                "reason": form.reason.strip(),
            }
            if not await queries.update_request(tx.connection, row["id"], values, state="pending"):
                check_pending(await self._requests.read(tx.connection, request_id))
            denied = await self._requests.read(tx.connection, request_id)
            await self._told(tx, who, denied, "package.denied", form.reason.strip())
            return denied

    async def install_again(self, who: Principal, request_id: str) -> PackageRequest:
        """Try the installation of something approved once more. Raises NotFound, Conflict (`request-decided`)."""
        who.require("request.decide")
        async with self._db.write() as tx:
            await self._requests.find(tx.connection, who, request_id)
            asked = await self._requests.read(tx.connection, request_id)
            if asked.install_state != "failed":
                raise Conflict(
                    "request-decided",
                    f"There is no failed installation of {asked.name} to try again.",
                    hint="studiolo requests shows how it went.",
                )
            values = {"install_state": "wanted", "install_message": None, "installed_build": None}
            await queries.update_request(tx.connection, request_id, values)
            await self._record(tx, who, asked, "package.install-again")
            tx.after_commit(lambda: self.on_approved(request_id))
            return await self._requests.read(tx.connection, request_id)

    def _check(self, form: Approval) -> None:
        if form.exception and not form.reason.strip():
            raise InvalidInput("request-invalid", "An exception needs a reason.", hint="Add --reason TEXT.")
        if form.until is not None and form.until.tzinfo is None:
            raise InvalidInput("request-invalid", "The end needs a time zone.", hint="For example 2026-12-31T18:00Z.")
        if form.until is not None and form.until <= self._clock.now():
            raise InvalidInput(
                "request-invalid", "The end is past.", hint="Name a later day, or leave the end out for one without."
            )

    async def _check_enough(
        self, asked: PackageRequest, kind: Kind, wanted: Mapping[str, str], until: datetime | None
    ) -> None:
        """Judge as if it were granted: what would be refused even then must not look approved."""
        given = [Grant(kind, asked.ecosystem, name, specifier, "", "", until) for name, specifier in wanted.items()]
        for name, specifier in wanted.items():
            decision = await self._requests.judge(asked.workspace.id, asked.ecosystem, name, specifier, given)
            if not decision.is_allowed:
                raise _not_enough(kind, decision)

    @staticmethod
    def _wanted(asked: PackageRequest, form: Approval, specifier: str) -> dict[str, str]:
        """Return what is to be granted: names with their versions."""
        also = [one.name for one in asked.closure.packages if one.judged.verdict != "allow"]
        return dict.fromkeys(also if form.with_dependencies else [], "") | {asked.name: specifier}

    async def _take(
        self, tx: Transaction, who: Principal, asked: PackageRequest, form: Approval, specifier: str
    ) -> list[PackageRequest]:
        """Mark as approved what the decision answers, and return it; raises Conflict if another one was quicker."""
        place = None if form.scope == "global" else asked.workspace.id
        rows = await queries.list_pending_of_name(tx.connection, asked.ecosystem, asked.name, workspace_id=place)
        if asked.id not in {row["id"] for row in rows}:
            check_pending(await self._requests.read(tx.connection, asked.id))
        values = {
            "state": "approved",
            "decided_by": who.person_id or None,
            "decided_at": self._clock.now(),
            "reason": form.reason.strip() or None,
            "scope": form.scope,
            "until": form.until,
            "install_state": "wanted",
        }
        for row in rows:
            narrowed = {"specifier": specifier} if form.version is not None else {}
            await queries.update_request(tx.connection, row["id"], values | narrowed)
        return [await self._requests.read(tx.connection, row["id"]) for row in rows]

    async def _told(
        self, tx: Transaction, who: Principal, asked: PackageRequest, action: str, reason: str, **detail: str
    ) -> None:
        """Write the record, tell those who asked, and see to what follows."""
        await self._record(tx, who, asked, action, reason=reason, **detail)
        package, place, by = f"{asked.name}{asked.specifier}", asked.workspace.name, who.display_name
        if action == "package.approved":
            kind, text = "request.approved", f"{by} allowed {package} in {place}. It installs by itself."
            tx.after_commit(lambda: self.on_approved(asked.id))
        else:
            kind, text = "request.denied", f"{by} denied {package} in {place}: {reason}"
        for one in asked.people:
            await self._notifications.tell(tx, one.person.id, kind, text, link_of(asked.id))

    async def _record(self, tx: Transaction, who: Principal, asked: PackageRequest, action: str, **detail: str) -> None:
        await self._audit.record(
            tx,
            who,
            action,
            asked.workspace.name,
            workspace_id=asked.workspace.id,
            topics=TOPICS,
            package=f"{asked.name}{asked.specifier}",
            ecosystem=asked.ecosystem,
            request=asked.id,
            **detail,
        )


def _not_enough(kind: Kind, decision: Decision) -> Conflict:
    lifts = kind == "approval" and decision.code in LIFTED_BY_EXCEPTION
    remedy = "Approve it as an exception (--exception --reason TEXT), or change the policy."
    return Conflict(
        "approval-not-enough",
        f"An {kind} does not lift what stands against it: {decision.because}",
        hint=remedy if lifts else "Change the policy, or deny the request.",
    )
