"""Locks of environments: what one holds, with the hashes of what the index delivered."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from studiolo.kit.db import Database
from studiolo.packages.installed.lock import Base, Delivered, Lock, lock_of
from studiolo.packages.installed.reading import read_environment
from studiolo.packages.installed.snapshots import Snapshot
from studiolo.runtime.bases import base_of
from studiolo.server.environments import queries
from studiolo.server.environments.installing import Resolved
from studiolo.server.workspaces import queries as workspace_queries

DEFAULT_BASE = "default"


class Locks:
    """Reads environments from outside. A base never changes, so what is in it is read once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._bases: dict[Path, tuple[str, Snapshot]] = {}

    async def read(
        self, workspace_id: str, prefix: Path, *, installed: Sequence[Resolved] = ()
    ) -> tuple[Snapshot, Lock]:
        """Read the environment at `prefix`, a workspace's or one that will be, and return what it holds with its lock.

        `installed`: what was just put there by its hash, so that the ledger need not have it yet.
        """
        snapshot = await asyncio.to_thread(read_environment, prefix)
        base = await self.base(workspace_id, prefix)
        digests = [one.digest for one in snapshot.distributions if one.digest]
        async with self._db.read() as connection:
            live = await queries.find_live(connection, workspace_id)
            rows = await queries.list_delivered(connection, workspace_id, digests)
        delivered = (_of_lock(live["lock"]) if live is not None else {}) | _of_files(installed, snapshot)
        for row in rows:
            found = Delivered(row["file"], row["sha256"], row["channel"])
            delivered |= {digest: found for digest in (row["fingerprint"], row["sha256"]) if digest}
        return snapshot, lock_of(snapshot, base, delivered)

    async def beginning(self, workspace_id: str, prefix: Path) -> Lock:
        """Return the lock of an environment that was just made from its base, without reading it."""
        base = await self.base(workspace_id, prefix)
        return lock_of(base.snapshot, base, {})

    async def base(self, workspace_id: str, prefix: Path) -> Base:
        """Return the base of the environment at `prefix`; `hash` is of what the base holds, wherever it was built."""
        folder = base_of(prefix)
        if folder == prefix:
            async with self._db.read() as connection:
                live = await queries.find_live(connection, workspace_id)
            if live is not None and live["lock"]:
                # The base is gone, or its users no longer say which it is.
                return Lock.from_toml(live["lock"]).as_base()
        if folder not in self._bases:
            snapshot = await asyncio.to_thread(read_environment, folder)
            hash_ = lock_of(snapshot, Base("", "", snapshot), {}).hash
            if folder == prefix:
                # A clone whose base is gone changes, so nothing is remembered of it.
                return Base(DEFAULT_BASE, hash_, snapshot)
            self._bases[folder] = (hash_, snapshot)
        async with self._db.read() as connection:
            config = await workspace_queries.find_config(connection, workspace_id)
        name = (config or {}).get("environment", {}).get("base") or DEFAULT_BASE
        hash_, snapshot = self._bases[folder]
        return Base(name, hash_, snapshot)


def _of_files(installed: Sequence[Resolved], snapshot: Snapshot) -> dict[str, Delivered]:
    found = {}
    for one in installed:
        there = snapshot.find(one.name)
        if there is not None and there.digest and there.version == one.version and one.file and one.sha256:
            found[there.digest] = Delivered(one.file, one.sha256, one.channel or "")
    return found


def _of_lock(text: str | None) -> dict[str, Delivered]:
    if not text:
        return {}
    return {
        one.digest: Delivered(one.file, one.sha256, one.channel or "")
        for one in Lock.from_toml(text).packages
        if one.origin == "delivered" and one.digest and one.file and one.sha256
    }
