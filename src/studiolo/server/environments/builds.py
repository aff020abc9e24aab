"""Use cases that change environments: install, remove, roll back, build anew, cancel."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from sqlalchemy import RowMapping

from studiolo.contract.environments import (
    Build,
    Cause,
    PackageFile,
    PackageInstall,
    PackageRemove,
    PlannedPackage,
    Rollback,
)
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.audit.service import Audit
from studiolo.server.environments import queries
from studiolo.server.environments.builder import Builder
from studiolo.server.environments.interpreters import version_of
from studiolo.server.environments.locks import DEFAULT_BASE
from studiolo.server.environments.package_files import Listed, read_file
from studiolo.server.environments.planning import Planner
from studiolo.server.environments.specs import read_names, read_specs
from studiolo.server.environments.wire import build_of
from studiolo.server.environments.wishes import Wish
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries as workspace_queries
from studiolo.server.workspaces.service import Workspaces

# Allows one package of a plan in a workspace in spite of its policy: workspace's id, package, reason.
MakeException = Callable[[Transaction, Principal, str, PlannedPackage, str], Awaitable[None]]

# Among so many of the newest builds the one is looked for that an undo brings back.
_UNDOABLE = 100


class Builds:
    """Asks for builds; the builder makes them, in the order in which they were asked for."""

    def __init__(
        self, db: Database, clock: Clock, audit: Audit, workspaces: Workspaces, planner: Planner, builder: Builder
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._workspaces = workspaces
        self._planner = planner
        self._builder = builder
        self.make_exception: MakeException

    async def install(self, who: Principal, reference: str, form: PackageInstall) -> Build:
        """Ask for packages. With `force` what the policy refuses of them gets an exception.

        Raises InvalidInput (`package-invalid`, `package-file-invalid`, `request-invalid`), Denied, Unavailable
        (`conda-not-available`).
        """
        row = await self._find(who, reference, "environment.force" if form.force else "environment.change")
        wish = _wish(form, await self._read_file(row["id"], form.file) if form.file is not None else Listed())
        for ecosystem, _ in wish.specs:
            self._planner.find(ecosystem)
        if form.force:
            await self._force(who, row, wish, form.reason.strip())
        return await self.begin(who, row["id"], wish, cause="install")

    async def remove(self, who: Principal, reference: str, form: PackageRemove) -> Build:
        """Ask for packages to be removed. Raises InvalidInput (`package-invalid`)."""
        row = await self._find(who, reference, "environment.change")
        return await self.begin(who, row["id"], Wish(remove=read_names(form.packages)), cause="remove")

    async def roll_back(self, who: Principal, reference: str, form: Rollback) -> Build:
        """Ask for what an earlier build held. Raises NotFound (`build-not-found`)."""
        row = await self._find(who, reference, "environment.change")
        async with self._db.read() as connection:
            build = await queries.find_build(connection, row["id"], form.to)
        if build is None or build["state"] != "ready":
            raise _not_found(row, form.to)
        wish = Wish(to=form.to, asked=Wish.from_json(json.loads(build["wish"])).asked)
        return await self.begin(who, row["id"], wish, cause="rollback")

    async def undo(self, who: Principal, reference: str) -> Build:
        """Ask for what held before the live build and was another. Raises NotFound (`build-not-found`) for nothing."""
        row = await self._find(who, reference, "environment.change")
        async with self._db.read() as connection:
            found = await queries.list_ready(connection, row["id"], limit=_UNDOABLE)
        # Builds that changed nothing are nobody's to undo.
        before = next((one["number"] for one in found if one["hash"] != found[0]["hash"]), None)
        if before is None:
            raise NotFound("build-not-found", f"There is nothing to undo in {row['name']!r}: it is at its beginning.")
        return await self.roll_back(who, row["id"], Rollback(to=before))

    async def rebuild(self, who: Principal, reference: str) -> Build:
        """Ask for the environment to be made anew from its lock alone; what no lock names is gone then."""
        row = await self._find(who, reference, "environment.change")
        return await self.begin(who, row["id"], Wish(anew=True), cause="rebuild")

    async def cancel(self, who: Principal, reference: str, number: int) -> Build:
        """Cancel a build. Raises NotFound (`build-not-found`), Conflict (`build-ended`)."""
        row = await self._find(who, reference, "environment.change")
        async with self._db.write() as tx:
            ending = {"state": "cancelled", "code": "build-cancelled", "ended_at": self._clock.now()}
            if not await queries.end_build(tx.connection, row["id"], number, ending):
                if await queries.find_build(tx.connection, row["id"], number) is None:
                    raise _not_found(row, number)
                raise Conflict("build-ended", f"Build {number} has ended already.", hint="Undo it, if it is live.")
            await self._record(tx, who, "environment.cancel", row["id"], row["name"], build=number)
            tx.after_commit(lambda: self._builder.interrupt(row["id"], number))
            return await self._wire(tx, row["id"], number)

    async def begin(self, who: Principal, workspace_id: str, wish: Wish, *, cause: Cause) -> Build:
        """Ask for a build of a workspace, for a caller that has authorised `who`; it is made in the background."""
        async with self._db.write() as tx:
            await workspace_queries.lock(tx.connection, workspace_id)
            live = await queries.find_live(tx.connection, workspace_id)
            values = {
                "state": "building",
                "base": live["base"] if live is not None else DEFAULT_BASE,
                "changes": "[]",
                "cause": cause,
                "wish": json.dumps(wish.to_json()),
                "made_by": who.person_id or None,
                "session_id": who.session_id,
                "made_at": self._clock.now(),
            }
            number = await queries.insert_build(tx.connection, workspace_id, values)
            (workspace,) = await workspace_queries.list_by_id(tx.connection, [workspace_id])
            detail = {
                "build": number,
                "wish": wish.describe(cause),
                "packages": [*wish.install, *wish.conda, *wish.remove],
                "to": wish.to,
            }
            await self._record(
                tx,
                who,
                f"environment.{cause}",
                workspace_id,
                workspace["name"],
                **{k: v for k, v in detail.items() if v},
            )
            tx.after_commit(lambda: self._builder.runner.hint(workspace_id))
            return await self._wire(tx, workspace_id, number)

    async def _find(self, who: Principal, reference: str, operation: str) -> RowMapping:
        async with self._db.read() as connection:
            return await self._workspaces.resolve(connection, who, reference, operation)

    async def _read_file(self, workspace_id: str, file: PackageFile) -> Listed:
        ground = await self._planner.ground(workspace_id)
        return await asyncio.to_thread(read_file, file, await version_of(str(ground.interpreter)))

    async def _force(self, who: Principal, row: RowMapping, wish: Wish, reason: str) -> None:
        """Allow, in this workspace, what its policy refuses of a wish, at exactly those versions."""
        if not reason:
            raise InvalidInput("request-invalid", "Force needs a reason; it is kept.", hint="Add --reason.")
        refused = []
        for ecosystem, specs in wish.specs:
            plan, _ = await self._planner.plan(
                row["id"], specs, ecosystem, upgrade=wish.upgrade, channels=wish.channels, explain=False
            )
            refused += plan.violations
        async with self._db.write() as tx:
            for one in refused:
                await self.make_exception(tx, who, row["id"], one, reason)
            names = [f"{one.name}=={one.version}" for one in refused]
            await self._record(tx, who, "environment.force", row["id"], row["name"], reason=reason, packages=names)

    async def _record(
        self, tx: Transaction, who: Principal, action: str, workspace_id: str, name: str, **detail: object
    ) -> None:
        topics = (f"workspace:{workspace_id}",)
        await self._audit.record(tx, who, action, name, workspace_id=workspace_id, topics=topics, **detail)

    async def _wire(self, tx: Transaction, workspace_id: str, number: int) -> Build:
        row = await queries.find_build(tx.connection, workspace_id, number)
        assert row is not None
        return build_of(row, live=None)


def _wish(form: PackageInstall, listed: Listed) -> Wish:
    named = bool(form.package or form.version or form.packages)
    specs = read_specs(form, listed.pypi if form.ecosystem == "pypi" else ()) if named or not listed.conda else []
    is_conda = form.ecosystem == "conda"
    if (form.channel or form.channels) and not (is_conda or listed.conda):
        raise InvalidInput(
            "request-invalid",
            "A channel is named, and no conda package: packages of PyPI come from the workspace's own index.",
            hint="Add --conda (ecosystem: conda), or leave the channel out.",
        )
    return Wish(
        install=listed.pypi if is_conda or not specs else specs,
        conda=[*listed.conda, *(specs if is_conda else ())],
        channels=[*([form.channel] if form.channel else []), *form.channels] or listed.channels,
        upgrade=form.upgrade,
        hashes=listed.hashes,
    )


def _not_found(row: RowMapping, number: int) -> NotFound:
    return NotFound(
        "build-not-found",
        f"{row['name']!r} has no build {number} that can be used.",
        hint=f"studiolo environment history {row['name']} lists them.",
    )
