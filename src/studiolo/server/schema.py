"""The database's schema: is it ours, is it this version's, and how it gets there.

The version stands in Alembic's own table, so that its command-line tools work on our databases too. The check
at start reads that one row; Alembic itself is imported only when something is to be done.
"""

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from studiolo.contract.errors import Conflict, StudioloError, Unavailable
from studiolo.kit.db import translate
from studiolo.server.backup.database import copy_sqlite, dump_postgresql
from studiolo.server.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

_log = logging.getLogger(__name__)
# The newest version in migrations/versions; a test compares them.
HEAD = "0014"
_DRIVERS = {"sqlite+aiosqlite": "sqlite", "postgresql+asyncpg": "postgresql+psycopg"}


def database_url(settings: Settings) -> str:
    """Return the asynchronous SQLAlchemy URL of the database."""
    return settings.database_url or f"sqlite+aiosqlite:///{settings.data_dir / 'studiolo.db'}"


def plain_url(settings: Settings) -> str:
    """Return the same for programs that wait."""
    url = database_url(settings)
    for asynchronous, plain in _DRIVERS.items():
        url = url.replace(asynchronous, plain)
    return url


def is_empty(settings: Settings) -> bool:
    """Tell whether no Studiolo has used the database yet. Raises Unavailable (`database-unavailable`)."""
    engine = create_engine(plain_url(settings))
    try:
        with engine.connect() as connection:
            return _version(connection) is None
    except DBAPIError as exc:
        raise _unreadable(exc, settings) from exc
    finally:
        engine.dispose()


def check_schema(settings: Settings) -> None:
    """Bring the database to this version's schema; a SQLite file is copied first.

    Raises Conflict (`schema-newer`), Unavailable (`database-unavailable`, `schema-upgrade-failed`, `disk-full`).
    """
    engine = create_engine(plain_url(settings))
    try:
        with engine.begin() as connection:
            found = _version(connection)
            if found == HEAD:
                return
            if found is not None and found > HEAD:
                raise newer(found)
            if found is not None:
                _back_up(settings)
            _upgrade(connection)
    except StudioloError:
        raise
    except DBAPIError as exc:
        raise _unreadable(exc, settings) from exc
    except SQLAlchemyError as exc:
        raise Unavailable(
            "schema-upgrade-failed",
            "The database could not be brought to this version; it is as it was.",
            hint="Go back to the earlier version, or report this with the log.",
            detail=str(exc),
        ) from exc
    finally:
        engine.dispose()


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def _upgrade(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _back_up(settings: Settings) -> None:
    """Copy the database as it is before its upgrade, beside it or, of PostgreSQL's, into the data directory."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = settings.data_dir / f"studiolo.db.before-upgrade-{stamp}"
    if not plain_url(settings).startswith("sqlite"):
        target = target.with_name(f"postgresql.before-upgrade-{stamp}.dump")
        dump_postgresql(plain_url(settings), target)
        _log.warning("The database was copied to %s before its upgrade.", target)
        return
    path = Path(plain_url(settings).removeprefix("sqlite:///"))
    free = shutil.disk_usage(settings.data_dir).free
    if free < path.stat().st_size * 2:
        raise Unavailable("disk-full", "There is no room to copy the database before its upgrade.", hint="Free space.")
    target.touch(0o600)
    copy_sqlite(path, target)
    _log.warning("The database was copied to %s before its upgrade.", target)


def newer(found: str) -> Conflict:
    """The error for a schema that this version does not know."""
    return Conflict(
        "schema-newer",
        f"The database has schema {found[:40]}, which is newer than this Studiolo knows ({HEAD}).",
        hint="Install the newer Studiolo again, or use another data directory.",
    )


def _unreadable(exc: DBAPIError, settings: Settings) -> StudioloError:
    words = str(exc.orig).lower()
    if "not a database" in words or "malformed" in words:
        return Unavailable(
            "database-unavailable",
            f"The database is damaged: {exc.orig}.",
            hint=f"Put {settings.data_dir / 'studiolo.db'} back from a copy (studiolo restore, or "
            "studiolo.db.before-upgrade-… beside it); files of workspaces are not touched.",
            detail=str(exc),
        )
    return translate(exc)
