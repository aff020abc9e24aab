"""Use cases of those who ask: ask for a package, or join who asked before; look; change one's mind."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import median_high

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.environments import Ecosystem
from studiolo.contract.errors import Conflict, Denied, NotFound, StudioloError
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Page
from studiolo.contract.requests import Closure, PackageAsk, PackageRequest, RequestState, Ruling
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import read_time_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Decision, Subject
from studiolo.packages.policy.effective import Grant, Policy
from studiolo.server.accounts.queries import list_administrators
from studiolo.server.audit.service import Audit
from studiolo.server.environments.planning import ListPassing
from studiolo.server.notifications.service import Notifications
from studiolo.server.packages.effective import Policies
from studiolo.server.principal import Principal
from studiolo.server.requests import queries
from studiolo.server.requests.wire import ruling, wire
from studiolo.server.requests.wishes import judge_files, read_wish, subject_of
from studiolo.server.workspaces import queries as workspace_queries
from studiolo.server.workspaces.service import Workspaces

ListFiles = Callable[[str, Policy], Awaitable[Sequence[Subject]]]
TOPIC = "requests"
TOPICS = (TOPIC, "home", "policy")
_MAX_PAGE = 200
# So many decisions tell how long one usually waits.
_LATELY = 20


class Requests:
    """Requests for packages as people see them.

    `on_asked(id)`: there is something to find out about a request. `list_passing` and `list_files` (of a project, as a
    policy judges them) ask the index, where there is one.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        workspaces: Workspaces,
        notifications: Notifications,
        policies: Policies,
        *,
        is_on: bool,
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._workspaces = workspaces
        self._notifications = notifications
        self._policies = policies
        self.is_on = is_on
        self.list_passing: ListPassing | None = None
        self.list_files: ListFiles | None = None
        self.on_asked: Callable[[str], None] = lambda request_id: None

    async def judge(
        self, workspace_id: str, ecosystem: Ecosystem, name: str, specifier: str, granted: Sequence[Grant] = ()
    ) -> Decision:
        """Return what the workspace's policy says of a package now, or would if something more were `granted`.

        What only files tell (when they came, whether they are wheels) is asked of the index, where there is one.
        """
        _, known = await self._policies.effective(workspace_id)
        policy = replace(known, grants=(*known.grants, *granted)) if granted else known
        decision = decide(policy, subject_of(ecosystem, name, specifier), self._clock.now())
        if not decision.is_allowed or ecosystem != "pypi" or self.list_files is None:
            return decision
        try:
            # The index knows policies that hold, not such as are tried.
            files = await self.list_files(name, known)
        except StudioloError:
            return decision
        return judge_files(policy, files, specifier, self._clock.now()) or decision

    async def find_place(self, who: Principal, workspace: str) -> RowMapping:
        """Return the workspace that a reference means, if the caller may ask in it; raises NotFound, Denied."""
        async with self._db.read() as connection:
            return await self._workspaces.resolve(connection, who, workspace, "request.create")

    async def consider(self, who: Principal, workspace: str, form: PackageAsk) -> tuple[Ruling, PackageRequest | None]:
        """Return what asking would come to: the policy's word, and the request of others that one would join.

        Raises InvalidInput (`package-invalid`), NotFound, Denied.
        """
        name, specifier = read_wish(form.package, form.ecosystem)
        place = await self.find_place(who, workspace)
        async with self._db.read() as connection:
            found = await queries.list_pending_of_name(connection, form.ecosystem, name, workspace_id=place["id"])
            pending = await self._wires(connection, found[:1])
        decision = await self.judge(place["id"], form.ecosystem, name, specifier)
        return ruling(decision), (pending[0] if pending else None)

    async def passing(self, workspace_id: str, ecosystem: Ecosystem, name: str) -> list[str]:
        """Return versions of a package that pass in a workspace, newest first; none where nobody can tell now."""
        if self.list_passing is None or ecosystem != "pypi":
            return []
        try:
            _, policy = await self._policies.effective(workspace_id)
            return list(await self.list_passing(name, policy))
        except StudioloError:
            return []

    async def ask(self, who: Principal, workspace: str, form: PackageAsk) -> PackageRequest:
        """Ask for a package, or join those who did; asking again changes one's words. Administrators are told.

        Raises InvalidInput (`package-invalid`), NotFound, Denied (`requests-off`), Conflict (`package-allowed`).
        """
        name, specifier = read_wish(form.package, form.ecosystem)
        place = await self.find_place(who, workspace)
        if not self.is_on:
            raise await self._switched_off()
        decision = await self.judge(place["id"], form.ecosystem, name, specifier)
        if decision.is_allowed:
            raise _allowed(place["name"], form, decision)
        async with self._db.write() as tx:
            # Of two who ask at once, the second joins the first.
            await workspace_queries.lock(tx.connection, place["id"])
            found = await queries.list_pending_of_name(tx.connection, form.ecosystem, name, workspace_id=place["id"])
            request_id = found[0]["id"] if found else new_id(IdKind.REQUEST)
            if not found:
                await self._insert(tx, request_id, place["id"], form.ecosystem, name, specifier, decision)
            elif found[0]["specifier"] != specifier:
                # They want different versions: which of them come is for who decides.
                await queries.update_request(tx.connection, request_id, {"specifier": ""})
            asked = {"request_id": request_id, "person_id": who.person_id, "asked_at": self._clock.now()}
            await queries.add_asker(tx.connection, asked | {"purpose": form.purpose.strip(), "specifier": specifier})
            detail = {"package": f"{name}{specifier}", "ecosystem": form.ecosystem, "request": request_id}
            await self._audit.record(
                tx, who, "package.requested", place["name"], workspace_id=place["id"], topics=TOPICS, **detail
            )
            if not found:
                await self._tell_administrators(tx, who, f"{name}{specifier}", place["name"], request_id)
                tx.after_commit(lambda: self.on_asked(request_id))
            return await self.read(tx.connection, request_id)

    async def list_(
        self,
        who: Principal,
        *,
        state: RequestState | None = None,
        mine: bool = False,
        workspace: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[PackageRequest]:
        """Return requests, newest first: all for administrators, else those in workspaces of the caller's."""
        who.require("request.list")
        after, limit = read_time_cursor(cursor), max(1, min(limit, _MAX_PAGE))
        async with self._db.read() as connection:
            inside = who.workspace_id
            if workspace is not None:
                inside = (await self._workspaces.resolve(connection, who, workspace, "workspace.read"))["id"]
            rows = await queries.list_requests(
                connection,
                seen_by=None if who.is_admin else who.person_id,
                of=who.person_id if mine else None,
                workspace_id=inside,
                state=state,
                after=after,
                limit=limit + 1,
            )
            more, rows = len(rows) > limit, rows[:limit]
            items = await self._wires(connection, rows)
        end = write_cursor(rows[-1]["asked_at"].isoformat(), rows[-1]["id"]) if more else None
        return Page(items=items, next_cursor=end)

    async def get(self, who: Principal, request_id: str) -> PackageRequest:
        """Return a request that the caller may see; raises NotFound (`request-not-found`)."""
        who.require("request.list")
        async with self._db.read() as connection:
            row = await self.find(connection, who, request_id)
            return (await self._wires(connection, [row]))[0]

    async def count_pending(self, who: Principal) -> int:
        """Return how many requests wait for the caller's decision: none but for administrators. Cheap."""
        if not who.is_admin:
            return 0
        async with self._db.read() as connection:
            return await queries.count_pending(connection)

    async def usual_wait(self) -> timedelta | None:
        """Return how long requests waited for their decision of late: the middle one; None: none yet."""
        async with self._db.read() as connection:
            waits = await queries.list_waits(connection, _LATELY)
        return median_high(waits) if waits else None

    async def withdraw(self, who: Principal, request_id: str) -> PackageRequest:
        """Take one's wish back; the last one's withdraws the request. Raises NotFound, Conflict (`request-decided`)."""
        who.require("request.withdraw")
        async with self._db.write() as tx:
            row = await self.find(tx.connection, who, request_id)
            await workspace_queries.lock(tx.connection, row["workspace_id"])
            check_pending(await self.read(tx.connection, request_id))
            if not await queries.remove_asker(tx.connection, request_id, who.person_id):
                raise NotFound("request-not-found", "You have not asked for this package.", hint="studiolo requests")
            if not await queries.list_askers(tx.connection, [request_id]):
                values = {"state": "withdrawn", "decided_by": who.person_id, "decided_at": self._clock.now()}
                await queries.update_request(tx.connection, request_id, values)
            await self._audit.record(
                tx,
                who,
                "package.withdrawn",
                row["workspace_name"],
                workspace_id=row["workspace_id"],
                topics=TOPICS,
                package=f"{row['name']}{row['specifier']}",
                ecosystem=row["ecosystem"],
                request=request_id,
            )
            return await self.read(tx.connection, request_id)

    async def forget_person(self, tx: Transaction, person_id: str, display_name: str) -> None:
        """Forget in what words an erased person asked; that they did stays, under no name (promise S15)."""
        await queries.clear_purposes(tx.connection, person_id)

    async def find(self, connection: AsyncConnection, who: Principal, request_id: str) -> RowMapping:
        """Return the row of a request that the caller may see; raises NotFound (`request-not-found`)."""
        row = await queries.find_request(connection, request_id)
        if row is not None and who.workspace_id in (None, row["workspace_id"]):
            role = await workspace_queries.find_role(connection, who.person_id, row["workspace_id"])
            if who.is_admin or role is not None:
                return row
        raise NotFound(
            "request-not-found", f"There is no request {request_id[:32]!r} that you can see.", hint="studiolo requests"
        )

    async def read(self, connection: AsyncConnection, request_id: str) -> PackageRequest:
        """Return a request as it is in a transaction under way."""
        row = await queries.find_request(connection, request_id)
        assert row is not None
        return (await self._wires(connection, [row]))[0]

    async def _wires(self, connection: AsyncConnection, rows: list[RowMapping]) -> list[PackageRequest]:
        askers = await queries.list_askers(connection, [row["id"] for row in rows])
        return [wire(row, askers) for row in rows]

    async def _insert(
        self,
        tx: Transaction,
        request_id: str,
        workspace_id: str,
        ecosystem: Ecosystem,
        name: str,
        specifier: str,
        decision: Decision,
    ) -> None:
        values = {
            "id": request_id,
            "workspace_id": workspace_id,
            "ecosystem": ecosystem,
            "name": name,
            "specifier": specifier,
            "state": "pending",
            "judged": ruling(decision).model_dump_json(),
            "closure": Closure(state="pending").model_dump_json(),
            "asked_at": self._clock.now(),
        }
        await queries.insert_request(tx.connection, values)

    async def _tell_administrators(
        self, tx: Transaction, who: Principal, package: str, workspace: str, request_id: str
    ) -> None:
        text = f"{who.display_name} asks for {package} in {workspace}."
        for row in await list_administrators(tx.connection):
            if row["id"] != who.person_id:
                await self._notifications.tell(tx, row["id"], "request.asked", text, link_of(request_id))

    async def _switched_off(self) -> Denied:
        async with self._db.read() as connection:
            names = [row["display_name"] for row in await list_administrators(connection)][:3]
        return Denied(
            "requests-off",
            "Packages are not asked for here: the administrators switched requests off.",
            hint=f"Talk to {' or '.join(names) or 'an administrator'}.",
        )


def link_of(request_id: str) -> str:
    """Return where a request is shown."""
    return f"/requests?request={request_id}"


def check_pending(request: PackageRequest) -> None:
    """Raise Conflict (`request-decided`) unless a request waits for a decision."""
    if request.state == "pending":
        return
    by = f" by {request.decided_by.display_name}" if request.decided_by else ""
    raise Conflict(
        "request-decided",
        f"The request for {request.name} was {request.state} already{by}.",
        hint="studiolo requests shows how it went.",
    )


def _allowed(workspace: str, form: PackageAsk, decision: Decision) -> Conflict:
    option = " --conda" if form.ecosystem == "conda" else ""
    return Conflict(
        "package-allowed",
        f"{form.package.strip()} is allowed in {workspace} already. {decision.because}",
        hint=f"Install it: studiolo install {workspace} '{form.package.strip()}'{option}",
    )
