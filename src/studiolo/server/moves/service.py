"""Use cases of moves between engines: begin, see, take back, confirm. What they want is done by steps."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.moves import Move, MoveProgress
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.engines.engines import Engines
from studiolo.server.moves import queries
from studiolo.server.moves.places import MovingPlaces
from studiolo.server.principal import PLATFORM, Principal
from studiolo.server.workspaces import queries as workspace_queries
from studiolo.server.workspaces.register import Register, config_of
from studiolo.server.workspaces.sizes import stored

_WAITS = {
    "copying": "its files are on their way",
    "checking": "its files are on their way",
    "moved": "what it left is kept until the move is confirmed or taken back",
    "releasing": "what it left is being removed",
    "returning": "it is being taken back",
}


class Moves:
    """Moves as their people see them. `wake` is told of each that goes on; `count_kernels` counts those without a
    session. Both are set by the composition root.
    """

    def __init__(self, db: Database, clock: Clock, engines: Engines, register: Register, places: MovingPlaces) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._register = register
        self._places = places
        self.wake: Callable[[str], None] = lambda workspace_id: None
        self.count_kernels: Callable[[AsyncConnection, str], Awaitable[int]] = _none

    async def begin(self, who: Principal, reference: str, form: Move) -> MoveProgress:
        """Begin to move; between engines that share storage it is done at once.

        Raises InvalidInput (`engine-unknown`, `engine-storage`, `isolation-too-low`), Conflict (`move-needless`,
        `move-running`, `workspace-busy`), Unavailable (`engine-unavailable`).
        """
        async with self._db.read() as connection:
            await self._register.resolve(connection, who, reference, "workspace.move")
        goes = self._engines.choose(form.engine)
        # Some engines know only then how much they keep apart.
        await self._engines.machine(goes)
        async with self._db.write() as tx:
            row = await self._register.resolve_to_change(tx, who, reference, "workspace.move")
            config = config_of(row)
            came = config.engine or self._engines.default
            if came == goes:
                raise Conflict("move-needless", f"{row['name']!r} is on {goes} already.")
            self._engines.check_isolation(goes, config.min_isolation)
            before = await queries.find(tx.connection, row["id"])
            _check_over(row, before)
            await self._check_quiet(tx.connection, row)
            is_copied = not (self._places.is_shared(came) and self._places.is_shared(goes))
            if is_copied and row["root"]:
                raise InvalidInput(
                    "engine-storage",
                    f"The files of {row['name']!r} are a folder of the platform's machine and cannot leave it.",
                    hint=f"Move a copy: studiolo duplicate {row['name']} NAME, then studiolo move NAME {goes}.",
                )
            # The way back leads to whose it was there, whoever owns the workspace by now.
            person = before["person"] if before is not None and before["goes"] == came else row["owner_name"]
            now = self._clock.now()
            values = {"came": came, "goes": goes, "person": person, "asked_by": who.name, "began_at": now}
            ended = {"state": "copying"} if is_copied else {"state": "done", "files_total": 0, "ended_at": now}
            await queries.replace(tx.connection, {"workspace_id": row["id"], **values, **ended})
            await self._change(tx, who, row, "workspace.move", None if is_copied else goes, came=came, goes=goes)
        return await self.progress(who, row["id"])

    async def progress(self, who: Principal, reference: str) -> MoveProgress:
        """Return how a move goes, or how the last one ended."""
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.move-read")
            return _wire(await queries.find(connection, row["id"]))

    async def cancel(self, who: Principal, reference: str) -> MoveProgress:
        """Take a move back: the workspace is where it came from, and what was copied goes, with all changes since.

        Raises NotFound (`move-not-found`), Conflict (`workspace-busy`).
        """
        async with self._db.write() as tx:
            row, move = await self._find(tx, who, reference, (*queries.COPYING, "moved"))
            if move["state"] == "moved":
                await self._check_quiet(tx.connection, row)
            await queries.change(tx.connection, row["id"], queries.OPEN, state="returning", code=None, message=None)
            back = move["came"] if move["state"] == "moved" else None
            await self._change(tx, who, row, "workspace.move-cancel", back, came=move["came"], goes=move["goes"])
        return await self.progress(who, row["id"])

    async def confirm(self, who: Principal, reference: str) -> MoveProgress:
        """Let go of what a workspace left where it came from. Raises NotFound (`move-not-found`)."""
        async with self._db.write() as tx:
            row, move = await self._find(tx, who, reference, ("moved",))
            await queries.change(tx.connection, row["id"], ("moved",), state="releasing", message=None)
            await self._change(tx, who, row, "workspace.move-confirm", None, came=move["came"], goes=move["goes"])
        return await self.progress(who, row["id"])

    async def release_erased(self, tx: Transaction, row: RowMapping) -> None:
        """Have the engine that keeps an erased workspace's files remove them, once this is durable."""
        move = await queries.find(tx.connection, row["id"])
        if move is not None and move["state"] in queries.DUE:
            return
        at = [config_of(row).engine or self._engines.default, *([move["came"]] if move is not None else [])]
        keeps = next((name for name in at if name in self._engines and self._engines[name].storage == "own"), None)
        if keeps is None:
            return
        owner = await workspace_queries.find_person_name(tx.connection, row["owner_id"]) or ""
        person = move["person"] if move is not None else owner
        values = {"came": keeps, "goes": keeps, "person": person, "asked_by": PLATFORM.name, "state": "releasing"}
        await queries.replace(tx.connection, {"workspace_id": row["id"], "began_at": self._clock.now(), **values})
        tx.after_commit(lambda: self.wake(row["id"]))

    async def _find(
        self, tx: Transaction, who: Principal, reference: str, states: tuple[str, ...]
    ) -> tuple[RowMapping, RowMapping]:
        row = await self._register.resolve_to_change(tx, who, reference, "workspace.move")
        move = await queries.find(tx.connection, row["id"])
        if move is None or move["state"] not in states:
            raise NotFound(
                "move-not-found",
                f"No move of {row['name']!r} waits for this.",
                hint=f"studiolo move {row['name']} shows how the last one went.",
            )
        return row, move

    async def _check_quiet(self, connection: AsyncConnection, row: RowMapping) -> None:
        await self._register.check_quiet(connection, row, remedy="none running")
        if kernels := await self.count_kernels(connection, row["id"]):
            raise Conflict(
                "workspace-busy",
                f"{kernels} {'kernel runs' if kernels == 1 else 'kernels run'} in {row['name']!r}.",
                hint="Stop them first: studiolo kernels list shows them.",
            )

    async def _change(
        self, tx: Transaction, who: Principal, row: RowMapping, action: str, engine: str | None, **detail: Any
    ) -> None:
        config = config_of(row)
        values = {"config": stored(config.model_copy(update={"engine": engine}))} if engine else {}
        await self._register.change(tx, who, row, action, values, **detail)
        tx.after_commit(lambda: self.wake(row["id"]))


async def _none(connection: AsyncConnection, workspace_id: str) -> int:
    return 0


def _check_over(row: RowMapping, before: RowMapping | None) -> None:
    if before is not None and before["state"] in queries.OPEN:
        name, goes = row["name"], before["goes"]
        hint = f"studiolo move {name} shows it; --cancel takes it back"
        raise Conflict(
            "move-running",
            f"{name!r} is being moved from {before['came']} to {goes}: {_WAITS[before['state']]}.",
            hint=f"{hint}, --confirm lets go of what it left." if before["state"] == "moved" else f"{hint}.",
        )


def _wire(row: RowMapping | None) -> MoveProgress:
    if row is None:
        nothing = {"files_total": None, "files_done": 0, "bytes_total": None, "bytes_done": 0, "percent": None}
        last = {"code": None, "message": None, "began_at": None, "ended_at": None}
        return MoveProgress.model_validate({"state": "none", "came": "", "goes": "", "asked_by": "", **nothing, **last})
    known = {name: row[name] for name in MoveProgress.model_fields if name != "percent"}
    return MoveProgress.model_validate({**known, "percent": _percent(row), "message": row["message"] or _next(row)})


def _percent(row: RowMapping) -> int | None:
    if row["files_total"] is None:
        return None
    # A file without bytes takes its time too.
    total = row["bytes_total"] + row["files_total"] * 1000 if row["bytes_total"] is not None else 0
    return int(100 * (row["bytes_done"] + row["files_done"] * 1000) / total) if total else 100


def _next(row: RowMapping) -> str | None:
    if row["state"] == "moved":
        return f"What it left on {row['came']} is kept until you confirm the move or take it back."
    return None
