"""The database: transactions for reading and writing, on SQLite or PostgreSQL."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import (
    Connection,
    CursorResult,
    DateTime,
    Dialect,
    Engine,
    ExceptionContext,
    Executable,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection

from studiolo.contract.errors import InvalidInput, StudioloError, Unavailable

_BUSY_MILLISECONDS = 5_000
# A reader in WAL mode waits for nobody but a program that locks the whole file.
_READER_BUSY_MILLISECONDS = 200
# Behind a lock of somebody else each writer waits its own time: without a bound they would queue for minutes.
_TURN_SECONDS = 10.0
# PostgreSQL's codes for what its columns cannot hold; most numbers asyncpg refuses itself, in words.
_BEYOND_COLUMN = frozenset({"22003", "22008"})
_TOO_LONG = "22001"


class UTCTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite stores it without its zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; store UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError("naive time")
        return value.astimezone(UTC).replace(tzinfo=None if dialect.name == "sqlite" else UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return aware UTC."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Transaction:
    """An open write transaction. Callbacks given to `after_commit` run, in order, only if it commits."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._callbacks: list[Callable[[], None]] = []

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` once this is durable: wake somebody, drop a cache, tell live pages."""
        self._callbacks.append(callback)

    def run_callbacks(self) -> None:
        """Called by Database.write after the commit."""
        for callback in self._callbacks:
            callback()


class _AtOnce:
    """A connection that reads on the event loop itself, as much of AsyncConnection as reading needs.

    SQLite answers a look into an index in some tens of microseconds from memory; handing it to a thread and back
    costs ten times that. In WAL mode a reader waits for nobody. Writers, who wait for the disk, have their threads.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, statement: Executable) -> CursorResult[Any]:
        """Execute a statement; its rows are there."""
        return self._connection.execute(statement)


class Database:
    """Opens transactions. SQLite: WAL, full sync, immediate write transactions through one writer."""

    def __init__(self, url: str) -> None:
        self.engine: AsyncEngine = create_async_engine(url, **_engine_options(url))
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._writer = asyncio.Lock() if self.is_sqlite else None
        self._reader: Engine | None = None
        # One connection of its own for ever: the version is told by what others commit.
        self._observer: PoolProxiedConnection | None = None
        if self.is_sqlite:
            self._reader = create_engine(url.replace("+aiosqlite", ""), **_reader_options())
            event.listen(self._reader, "connect", _prepare_sqlite_reader)
            event.listen(self._reader, "begin", _begin_sqlite)
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
            for engine in (self._reader, self.engine.sync_engine):
                event.listen(engine, "handle_error", _blame_number)
        else:
            event.listen(self.engine.sync_engine, "do_connect", _connect_to_server)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view; raises Unavailable (`database-unavailable`, …) when the database does not serve."""
        try:
            if self._reader is not None:
                with self._reader.connect() as plain:
                    yield cast(AsyncConnection, _AtOnce(plain))
                return
            async with self.engine.connect() as connection:
                yield connection
        except (DBAPIError, NoConnection) as exc:
            raise translate(exc) from exc

    @asynccontextmanager
    async def write(self, *, durable: bool = True) -> AsyncIterator[Transaction]:
        """One transaction, durable when the block has ended; rolled back if it raises.

        Not `durable`: it survives the kill of any process, but need not survive a power cut; for what is looked at
        again after one. On SQLite that saves the wait for the disk.
        A broken constraint reaches the caller as IntegrityError, since only the domain knows what it means.
        """
        try:
            async with self._turn(), self.engine.connect() as connection:
                connection = await connection.execution_options(studiolo_write=True, studiolo_durable=durable)
                async with connection.begin():
                    transaction = Transaction(connection)
                    yield transaction
        except IntegrityError:
            raise
        except (DBAPIError, NoConnection) as exc:
            raise translate(exc) from exc
        transaction.run_callbacks()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._writer is None:
            yield
            return
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await self._writer.acquire()
        except TimeoutError as exc:
            raise _unavailable("the writers before this one took too long") from exc
        try:
            yield
        finally:
            self._writer.release()

    def version(self) -> int | None:
        """Return a number that is another one after each commit of anybody; None where that cannot be told cheaply.

        Good for comparing within this process only. Source: SQLite's `PRAGMA data_version`.
        """
        if self._reader is None:
            return None
        try:
            if self._observer is None:
                self._observer = self._reader.raw_connection()
            return int(self._observer.cursor().execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return None

    async def close(self) -> None:
        """Close all connections."""
        if self._observer is not None:
            self._observer.close()
            self._observer = None
        if self._reader is not None:
            self._reader.dispose()
        await self.engine.dispose()


def translate(exc: DBAPIError | NoConnection) -> StudioloError:
    """Turn a driver's error into ours; the driver's words go to the log only."""
    words = str(exc.orig).lower() if isinstance(exc, DBAPIError) else ""
    if "full" in words and ("disk" in words or "database or disk" in words):
        return Unavailable(
            "disk-full",
            "The disk is full; nothing was changed.",
            hint="Free space on the disk of the data directory, then try again.",
            detail=str(exc),
        )
    if "readonly" in words or "read-only" in words:
        return Unavailable(
            "read-only",
            "The data directory cannot be written; nothing was changed.",
            hint="Check owner and mode of the data directory: studiolo doctor says which file.",
            detail=str(exc),
        )
    state = getattr(exc.orig, "sqlstate", None) if isinstance(exc, DBAPIError) else None
    if state in _BEYOND_COLUMN or "value out of int" in words:
        return _out_of_range(str(exc))
    if state == _TOO_LONG:
        return InvalidInput("request-invalid", "A text is longer than there can be here.", detail=str(exc))
    return _unavailable(str(exc))


def _unavailable(detail: str) -> Unavailable:
    return Unavailable(
        "database-unavailable",
        "The database does not serve at the moment; nothing was changed.",
        hint="Try again in a moment. If it stays so, studiolo doctor says what is wrong.",
        detail=detail,
    )


def _engine_options(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        # Readers do not block each other in WAL; a few connections serve the event loop's reads.
        return {
            "pool_size": 5,
            "max_overflow": 10,
            "pool_timeout": _TURN_SECONDS,
            "connect_args": {"timeout": _BUSY_MILLISECONDS / 1000},
        }
    return {"pool_size": 10, "max_overflow": 20, "pool_pre_ping": True}


def _reader_options() -> dict[str, Any]:
    return {
        # Nobody waits for a connection here: that would be waiting for oneself.
        "pool_size": 10,
        "max_overflow": -1,
        "connect_args": {"timeout": _READER_BUSY_MILLISECONDS / 1000, "check_same_thread": False},
    }


def _prepare_sqlite_reader(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_READER_BUSY_MILLISECONDS}")
    connection.execute("PRAGMA query_only=ON")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction handling is switched off: BEGIN is ours (see _begin_sqlite).
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_MILLISECONDS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _connect_to_server(dialect: Dialect, _record: object, arguments: Any, named: Any) -> Any:
    try:
        return dialect.connect(*arguments, **named)
    except OSError as exc:
        # As asyncpg tells of a server that is away; all its other errors are the driver's.
        raise OperationalError(None, None, exc) from exc


def _blame_number(context: ExceptionContext) -> BaseException | None:
    # Only somebody from outside names such a number or time; no column is larger, so none of ours is.
    if not isinstance(context.original_exception, OverflowError):
        return None
    return _out_of_range(str(context.original_exception))


def _out_of_range(detail: str) -> InvalidInput:
    return InvalidInput(
        "request-invalid",
        "A number or a time is out of the range that there can be here.",
        hint="Send one that was seen in an answer, or a time of this century.",
        detail=detail,
    )


def _begin_sqlite(connection: Any) -> None:
    options = connection.get_execution_options()
    is_write = options.get("studiolo_write", False)
    wanted = "FULL" if options.get("studiolo_durable", True) else "NORMAL"
    # Connections are used again; SQLite takes the change only between transactions.
    if is_write and connection.info.get("synchronous", "FULL") != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        connection.info["synchronous"] = wanted
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
