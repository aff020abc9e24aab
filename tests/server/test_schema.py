"""The database's schema: what is made, what is refused."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from studiolo.contract.errors import Conflict, Unavailable
from studiolo.server import schema
from studiolo.server.settings import Settings
from studiolo.server.tables import metadata


@pytest.fixture
def made(settings: Settings) -> Path:
    settings.data_dir.mkdir()
    schema.check_schema(settings)
    return settings.data_dir / "studiolo.db"


def test_migrations_make_exactly_the_tables(made: Path) -> None:
    engine = create_engine(f"sqlite:///{made}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_head_is_the_newest_version() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == schema.HEAD


def test_checking_again_changes_nothing(made: Path, settings: Settings) -> None:
    before = made.read_bytes()
    schema.check_schema(settings)
    assert made.read_bytes() == before


def test_a_newer_schema_is_refused_and_left_alone(made: Path, settings: Settings) -> None:
    with sqlite3.connect(made) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Conflict) as caught:
        schema.check_schema(settings)
    assert caught.value.code == "schema-newer"


def test_a_damaged_database_is_named(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "studiolo.db").write_bytes(b"this is no database" * 500)
    with pytest.raises(Unavailable, match="damaged") as caught:
        schema.check_schema(settings)
    assert caught.value.code == "database-unavailable"


def test_an_upgrade_copies_the_database_as_it_was_first(settings: Settings) -> None:
    settings.data_dir.mkdir()
    config, engine = schema._config(), create_engine(schema.plain_url(settings))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
    engine.dispose()
    schema.check_schema(settings)
    (copy,) = settings.data_dir.glob("studiolo.db.before-upgrade-*")
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("0004",)]
    assert copy.stat().st_mode & 0o777 == 0o600
