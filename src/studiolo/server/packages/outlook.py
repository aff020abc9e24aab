"""What a policy would change, before anybody sets it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from studiolo.contract.policies import Judgement, PolicyChange, PolicyDocument, PolicyOutlook
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Subject
from studiolo.packages.policy.documents import Document, read_document
from studiolo.packages.policy.effective import Policy
from studiolo.server.packages import queries
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.wire import judgement_wire
from studiolo.server.principal import Principal
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.packages import list_packages
from studiolo.server.workspaces.service import Workspaces

# More are not looked at for an organisation's policy: the answer is for a person who waits.
_MOST_WORKSPACES = 200
_MOST_CHANGES = 500


@dataclass(frozen=True)
class Seen:
    """A package that somebody has or wants."""

    where: Literal["base", "installed", "requested"]
    subject: Subject


async def _nothing(workspace_id: str) -> Iterable[Subject]:
    return ()


class Outlooks:
    """Compares what holds with what would hold, for packages that are installed or asked for."""

    def __init__(
        self, db: Database, clock: Clock, workspaces: Workspaces, policies: Policies, folders: Folders
    ) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces
        self._policies = policies
        self._folders = folders
        # What people asked for in a workspace and wait for. Set by whoever keeps requests.
        self.requested: Callable[[str], Awaitable[Iterable[Subject]]] = _nothing
        # Packages of the shipped base. Set by whoever keeps bases.
        self.of_base: Callable[[], Awaitable[Iterable[Subject]]] = self._no_base

    async def what_if(self, who: Principal, reference: str | None, form: PolicyDocument) -> PolicyOutlook:
        """Return what would change if the document were set, in a workspace or (None) as the organisation's.

        Raises InvalidInput (`policy-invalid`), NotFound (`workspace-not-found`).
        """
        document = read_document(form.document, "the policy to look at", now=self._clock.now())
        if reference is None:
            who.require("policy.change-platform")
            return await self._of_platform(document)
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, "policy.read")
        inputs = await self._policies.inputs(row["id"])
        after = self._policies.imagine(inputs, document, of_platform=False, by_administrator=who.is_admin)
        seen = await self._seen(row["id"])
        changes = self._compare(row["name"], seen, self._policies.compose(inputs), after)
        return _outlook(1, len(seen), changes, after)

    async def refused_of_base(self, who: Principal) -> list[Judgement]:
        """Return which packages of the base the organisation's policy would refuse, were they not the base's."""
        who.require("policy.change-platform")
        _, policy = await self._policies.effective(None)
        found = [
            (subject, decide(policy, subject, self._clock.now())) for subject in dict.fromkeys(await self.of_base())
        ]
        return [judgement_wire(subject, decision) for subject, decision in found if not decision.is_allowed]

    async def _of_platform(self, document: Document) -> PolicyOutlook:
        inputs = await self._policies.platform_inputs()
        after = self._policies.imagine(inputs, document, of_platform=True, by_administrator=True)
        base = [Seen("base", subject) for subject in await self.of_base()]
        changes = self._compare(None, base, self._policies.compose(inputs), after)
        looked_at, workspaces = len(base), 0
        async with self._db.read() as connection:
            rows = await queries.list_workspaces(connection, limit=_MOST_WORKSPACES)
        for row in rows:
            own = await self._policies.inputs(row["id"])
            seen = await self._seen(row["id"])
            there = self._policies.imagine(own, document, of_platform=True, by_administrator=True)
            changes += self._compare(row["name"], seen, self._policies.compose(own), there)
            looked_at, workspaces = looked_at + len(seen), workspaces + 1
        return _outlook(workspaces, looked_at, changes, after)

    async def _seen(self, workspace_id: str) -> list[Seen]:
        installed = await asyncio.to_thread(list_packages, self._folders.environment(workspace_id))
        return [
            *(
                Seen("base" if one["base"] else "installed", Subject("pypi", one["name"], one["version"]))
                for one in installed
            ),
            *(Seen("requested", subject) for subject in await self.requested(workspace_id)),
        ]

    def _compare(
        self, workspace: str | None, seen: Iterable[Seen], before: Policy, after: Policy
    ) -> list[PolicyChange]:
        now, changes = self._clock.now(), []
        for one in seen:
            was, will = decide(before, one.subject, now), decide(after, one.subject, now)
            if (was.verdict, was.code) != (will.verdict, will.code):
                changes.append(
                    PolicyChange(
                        workspace=workspace,
                        where=one.where,
                        before=judgement_wire(one.subject, was),
                        after=judgement_wire(one.subject, will),
                    )
                )
        return changes

    async def _no_base(self) -> Iterable[Subject]:
        return ()


def _outlook(workspaces: int, packages: int, changes: list[PolicyChange], after: Policy) -> PolicyOutlook:
    notes = list(after.notes)
    if any(one.where == "base" and one.after.verdict != "allow" for one in changes):
        notes.append("What the base holds goes on working and installing, file by file as its lock names it.")
    if len(changes) > _MOST_CHANGES:
        notes.append(f"{len(changes)} answers would change; the first {_MOST_CHANGES} are shown.")
    return PolicyOutlook(workspaces=workspaces, packages=packages, changes=changes[:_MOST_CHANGES], notes=notes)
