"""What happens by itself: what a package brings along is worked out, what was approved is installed."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import RowMapping

from studiolo.contract.environments import Plan, PlannedPackage
from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.contract.requests import Closure, ClosurePackage, PackageRequest, Ruling
from studiolo.kit.db import Database
from studiolo.kit.reconcile import Runner
from studiolo.server.accounts.queries import find_person
from studiolo.server.environments.installing import Resolved
from studiolo.server.environments.planning import Planner
from studiolo.server.live import Live
from studiolo.server.notifications.service import Notifications
from studiolo.server.principal import PLATFORM, Principal
from studiolo.server.requests import queries
from studiolo.server.requests.grounds import BuildOutcome, Catalogue, Facts, Installs
from studiolo.server.requests.service import TOPICS, Requests, link_of

_LOOK_AGAIN = timedelta(seconds=1)
_TRY_AGAIN = timedelta(minutes=2)
# Facts are fetched one by one from an index; of a long closure the first are enough to judge by.
_MOST_FACTS = 40


class Following:
    """A level-triggered reconciler over requests: looks at one, does the next thing, writes down what came of it."""

    def __init__(
        self,
        db: Database,
        live: Live,
        requests: Requests,
        notifications: Notifications,
        planner: Planner,
        catalogue: Catalogue,
        installs: Installs,
    ) -> None:
        self._db = db
        self._live = live
        self._requests = requests
        self._notifications = notifications
        self._planner = planner
        self._catalogue = catalogue
        self._installs = installs
        self.runner = Runner("requests", step=self._step, due=self._due, sweep_every=_TRY_AGAIN, concurrency=2)

    async def _due(self) -> list[str]:
        async with self._db.read() as connection:
            return await queries.list_due(connection)

    async def _step(self, request_id: str) -> timedelta | None:
        async with self._db.read() as connection:
            row = await queries.find_request(connection, request_id)
            asked = None if row is None else await self._requests.read(connection, request_id)
        if row is None or asked is None:
            return None
        if asked.state == "pending" and asked.closure.state == "pending":
            if not await self._installs.prepare(asked.workspace.id):
                return _LOOK_AGAIN
            found = await self._work_out(asked)
            await self._write(asked, closure=found.model_dump_json())
            return _TRY_AGAIN if found.state == "pending" else None
        if asked.install_state == "wanted":
            return await self._begin(asked, row)
        if asked.install_state == "building" and asked.build is not None:
            return await self._look(asked, asked.build)
        return None

    async def _work_out(self, asked: PackageRequest) -> Closure:
        spec = f"{asked.name}{asked.specifier}"
        try:
            plan, files = await self._planner.plan(asked.workspace.id, [spec], asked.ecosystem)
        except Unavailable as exc:
            # An index that does not answer may do so later.
            return Closure(state="pending", message=exc.message)
        except StudioloError as exc:
            return Closure(state="unknown", message=exc.message)
        return Closure(state="ready", packages=await self._describe(asked, plan, {one.name: one for one in files}))

    async def _describe(self, asked: PackageRequest, plan: Plan, files: Mapping[str, Resolved]) -> list[ClosurePackage]:
        # What is refused and what was asked for comes first, what is there already last.
        ordered = sorted(plan.packages, key=lambda one: (one.is_there, one.verdict == "allow", bool(one.via), one.name))
        found = []
        for number, one in enumerate(ordered):
            is_told = number < _MOST_FACTS and not one.is_there and one.name in files
            facts = (
                await self._catalogue.find(asked.workspace.id, one.ecosystem, files[one.name]) if is_told else Facts()
            )
            found.append(_described(one, facts))
        return found

    async def _begin(self, asked: PackageRequest, row: RowMapping) -> timedelta | None:
        spec = f"{asked.name}{asked.specifier}"
        by = await self._decider(row)
        try:
            number = await self._installs.begin(asked.workspace.id, spec, asked.ecosystem, by=by)
        except StudioloError as exc:
            await self._end(asked, BuildOutcome("failed", f"{exc.message} {exc.hint or ''}".strip()))
            return None
        await self._write(asked, install_state="building", installed_build=number)
        return _LOOK_AGAIN

    async def _look(self, asked: PackageRequest, number: int) -> timedelta | None:
        outcome = await self._installs.outcome(asked.workspace.id, number)
        if outcome.state == "building":
            return _LOOK_AGAIN
        await self._end(asked, outcome)
        return None

    async def _end(self, asked: PackageRequest, outcome: BuildOutcome) -> None:
        """Write what came of the installation, and tell those who asked."""
        package, place = f"{asked.name}{asked.specifier}", asked.workspace.name
        if outcome.state == "ready":
            values: dict[str, str | None] = {"install_state": "installed", "install_message": None}
            kind, text = "request.installed", f"{package} is installed in {place}."
        else:
            why = outcome.message or f"The build was {outcome.state}."
            values = {"install_state": "failed", "install_message": why}
            kind, text = "request.not-installed", f"{package} is allowed in {place}, but could not be installed: {why}"
        async with self._db.write() as tx:
            await queries.update_request(tx.connection, asked.id, values)
            told = {one.person.id for one in asked.people}
            if outcome.state != "ready" and asked.decided_by is not None:
                told.add(asked.decided_by.id)
            for person_id in told:
                await self._notifications.tell(tx, person_id, kind, text, link_of(asked.id))
            tx.after_commit(lambda: self._changed(asked))

    async def _write(self, asked: PackageRequest, **values: object) -> None:
        async with self._db.write() as tx:
            await queries.update_request(tx.connection, asked.id, values)
            tx.after_commit(lambda: self._changed(asked))

    def _changed(self, asked: PackageRequest) -> None:
        self._live.publish(TOPICS, workspace_id=asked.workspace.id)

    async def _decider(self, row: RowMapping) -> Principal:
        """Whoever approved it stands behind the installation; the platform, where they are gone."""
        async with self._db.read() as connection:
            person = await find_person(connection, row["decided_by"]) if row["decided_by"] else None
        if person is None:
            return PLATFORM
        return Principal(person["id"], person["name"], person["display_name"], True, via="platform")


def _described(one: PlannedPackage, facts: Facts) -> ClosurePackage:
    return ClosurePackage(
        name=one.name,
        version=one.version,
        is_there=one.is_there,
        judged=Ruling(verdict=one.verdict, code=one.code, rule=one.rule, source=one.source, because=one.because),
        via=one.via,
        **facts._asdict(),
    )
