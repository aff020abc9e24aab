"""Each workspace's own number on this machine: user and group of its files (decision 012)."""

import asyncio
import os
from pathlib import Path

import structlog
from sqlalchemy.exc import IntegrityError

from studiolo.contract.errors import InvalidInput
from studiolo.kit.db import Database
from studiolo.runtime.acting import HIGHEST, Owner, hand_over, is_possible
from studiolo.server.settings.local import LocalSettings
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.folders import Folders

_log = structlog.get_logger(__name__)
# On PostgreSQL another one may take the same number at the same time.
_TRIES = 20


class Owners:
    """Gives numbers, and sees to it that folders belong to them."""

    def __init__(self, db: Database, folders: Folders, settings: LocalSettings) -> None:
        self._db = db
        self._folders = folders
        self._settings = settings

    async def give(self, workspace_id: str) -> Owner | None:
        """Return a workspace's number, given now if it has none; None: accounts are off.

        Raises InvalidInput (`settings-invalid`) when there are no more.
        """
        if self._settings.accounts == "off":
            return None
        for _ in range(_TRIES):
            try:
                async with self._db.write() as tx:
                    first = self._settings.first_account
                    account = await queries.give_account(tx.connection, workspace_id, first, HIGHEST)
            except IntegrityError:
                continue
            if account is None:
                break
            return account, account
        raise InvalidInput(
            "settings-invalid",
            "There is no account left for another workspace.",
            hint=f"local.first_account can be lowered; numbers end at {HIGHEST}.",
        )

    async def settle(self) -> None:
        """Have all folders that are workspaces' belong to their numbers, or, with accounts off, to the platform.

        At the start, before anybody works in them; after a kill, and after a restore, what is left is done again.
        """
        if not is_possible():
            return
        is_on = self._settings.accounts == "on"
        if is_on:
            await asyncio.to_thread(self._folders.open_the_way)
        async with self._db.read() as connection:
            known = await queries.list_accounts(connection)
            own = set(await queries.list_without_root(connection)) if is_on else set(known)
        folders = await asyncio.to_thread(self._folders.list_owned)
        for done, (workspace_id, folder) in enumerate(folders, 1):
            if workspace_id in own:
                account = known.get(workspace_id)
                owner = (account, account) if account and is_on else await self.give(workspace_id)
                await asyncio.to_thread(_settle, folder, owner or (os.geteuid(), os.getegid()), done, len(folders))


def _settle(folder: Path, owner: Owner, done: int, total: int) -> None:
    if folder.stat().st_uid == owner[0]:
        return
    _log.info("files-change-hands", folder=str(folder), owner=owner[0], folder_number=done, of=total)
    try:
        folder.chmod(0o700)
        hand_over(folder, owner)
    except (OSError, RecursionError) as exc:
        # The others are not kept from theirs.
        _log.warning("files-not-handed-over", folder=str(folder), why=repr(exc))
