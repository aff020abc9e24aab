"""Transactions on SQLite: what is durable waits for the disk, and nothing else does."""

from pathlib import Path

from sqlalchemy import text

from studiolo.kit.db import Database, Transaction


async def _synchronous(tx: Transaction) -> int:
    return int((await tx.connection.execute(text("PRAGMA synchronous"))).scalar_one())


async def test_each_transaction_has_the_durability_it_asked_for(tmp_path: Path) -> None:
    db = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    full, normal = 2, 1
    for durable, expected in ((True, full), (False, normal), (True, full), (False, normal), (False, normal)):
        async with db.write(durable=durable) as tx:
            assert await _synchronous(tx) == expected
    await db.close()


async def test_the_version_is_another_one_after_each_commit(tmp_path: Path) -> None:
    db = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    async with db.write() as tx:
        await tx.connection.execute(text("CREATE TABLE t (n INTEGER)"))
    seen = [db.version()]
    for number in range(3):
        assert db.version() == seen[-1]
        async with db.write(durable=number % 2 == 0) as tx:
            await tx.connection.execute(text("INSERT INTO t VALUES (1)"))
        seen.append(db.version())
    assert len(set(seen)) == 4
    async with db.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 3
    await db.close()
