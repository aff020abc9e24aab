"""What only PostgreSQL refuses, by a real one where its programs are installed."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.kit.db import Database
from studiolo.testing.fixtures import run_dir
from studiolo.testing.ports import free_port

__all__ = ["run_dir"]

_things = Table("things", MetaData(), Column("number", Integer), Column("name", String(5)))


def _find(program: str) -> str:
    places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(program, path=os.pathsep.join(places))
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    return found


@pytest.fixture
async def db(run_dir: Path) -> AsyncIterator[Database]:
    initdb, server = _find("initdb"), _find("pg_ctl")
    # It refuses to run as root.
    account = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    if account:
        shutil.chown(run_dir, "nobody")
    data, run = run_dir / "data", {"check": True, "stdout": subprocess.DEVNULL, **account}
    subprocess.run([initdb, "--auth=trust", "--username=studiolo", "--no-sync", data], **run)
    options = f"-k {run_dir} -c listen_addresses= -c fsync=off"
    subprocess.run([server, "--pgdata", data, "--options", options, "--log", run_dir / "log", "--wait", "start"], **run)
    db = Database(f"postgresql+asyncpg://studiolo@/postgres?host={run_dir}")
    try:
        async with db.write() as tx:
            await tx.connection.run_sync(_things.metadata.create_all)
        yield db
        await db.close()
    finally:
        subprocess.run([server, "--pgdata", data, "--mode=immediate", "stop"], **run)


async def test_what_its_columns_cannot_hold_is_refused_as_input(db: Database) -> None:
    async with db.write() as tx:
        await tx.connection.execute(insert(_things).values(number=2**31 - 1, name="a"))
    for statement in (
        select(_things).where(_things.c.number == 2**31),
        select(_things).where(_things.c.number == 10**30),
        insert(_things).values(number=2**31),
        update(_things).values(number=_things.c.number + 1),
        insert(_things).values(name="larger"),
    ):
        with pytest.raises(InvalidInput) as refused:
            async with db.write() as tx:
                await tx.connection.execute(statement)
        assert refused.value.code == "request-invalid"
    async with db.read() as connection:
        assert (await connection.execute(select(_things))).all() == [(2**31 - 1, "a")]


async def test_a_server_that_is_away_is_a_database_that_does_not_serve() -> None:
    db = Database(f"postgresql+asyncpg://studiolo@127.0.0.1:{free_port()}/studiolo")
    for transaction in (db.read, db.write):
        with pytest.raises(Unavailable) as refused:
            async with transaction():
                pass
        assert refused.value.code == "database-unavailable"
    await db.close()
