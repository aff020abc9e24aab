"""From a token to the person it stands for, on every request, with answers remembered for a moment."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.errors import NotSignedIn
from studiolo.kit.cache import MomentCache
from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey, has_valid_checksum
from studiolo.kit.db import Database
from studiolo.server.accounts import queries
from studiolo.server.principal import Principal
from studiolo.server.settings.accounts import AccountSettings

# Changes made by this process count at once (the cache is cleared); those of another within this time.
_REMEMBER_SECONDS = 2.0
_TOUCH_EVERY = timedelta(minutes=1)


class Authentication:
    """Checks logins and keys. `login_ended`: the reply for a browser, `key_invalid`: for a program."""

    def __init__(self, db: Database, clock: Clock, master: MasterKey, settings: AccountSettings) -> None:
        self._db = db
        self._clock = clock
        self._master = master
        self._settings = settings
        self._cache: MomentCache[str, Principal] = MomentCache(_REMEMBER_SECONDS)
        self._seen_logins: dict[str, datetime] = {}
        self._seen_keys: dict[str, datetime] = {}

    def forget(self) -> None:
        """Call after every change of people, logins or keys."""
        self._cache.clear()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` with every change: answers built on what was before are stale."""
        self._cache.watchers.append(changed)

    def hash_login(self, token: str) -> str:
        """Keyed hash under which a login's token is stored."""
        return self._master.digest("login", token)

    def hash_key(self, key: str) -> str:
        """Keyed hash under which a key is stored."""
        return self._master.digest("key", key)

    def csrf_token(self, who: Principal) -> str:
        """The token that forms of this login carry."""
        return self._master.digest("csrf", who.login_id or "")[:32]

    async def by_login(self, token: str) -> Principal:
        """Return the person of a login's cookie; raises NotSignedIn (`login-ended`)."""
        return await self._remembered("l" + token, self._load_login(token), self._seen_logins)

    async def by_login_id(self, login_id: str) -> Principal:
        """Return the person of a login known by id (a session's cookie names it); raises NotSignedIn."""
        return await self._remembered("i" + login_id, self._load_login_id(login_id), self._seen_logins)

    async def is_current(self, who: Principal) -> bool:
        """Tell whether a login still stands for the same person with the same rights; asking is no use of it."""
        try:
            return who.login_id is not None and await self._load_login_id(who.login_id) == who
        except NotSignedIn:
            return False

    async def by_key(self, key: str) -> Principal:
        """Return the person of an API key; raises NotSignedIn (`key-invalid`)."""
        if not has_valid_checksum(key):
            raise NotSignedIn(
                "key-invalid",
                "This is no API key: it is incomplete or mistyped.",
                hint="Copy it again, whole.",
            )
        return await self._remembered("k" + key, self._load_key(key), self._seen_keys)

    async def by_key_id(self, key_id: str) -> Principal:
        """Return the person of a key known by id (the kernel host names it); raises NotSignedIn."""
        async with self._db.read() as connection:
            return self._of_key_row(await queries.find_key_by_id(connection, key_id))

    async def write_seen(self) -> None:
        """Store when logins and keys were last used; called now and then, not on each request."""
        logins, keys = dict(self._seen_logins), dict(self._seen_keys)
        if not logins and not keys:
            return
        self._seen_logins.clear()
        self._seen_keys.clear()
        async with self._db.write() as tx:
            await queries.touch(tx.connection, logins, keys)

    async def _remembered(self, name: str, load: Any, seen: dict[str, datetime]) -> Principal:
        known = self._cache.find(name)
        if known is not None:
            load.close()
            return known
        generation = self._cache.generation
        who: Principal = await load
        self._cache.put(name, who, generation=generation)
        seen[who.login_id or who.key_id or ""] = self._clock.now()
        return who

    async def _load_login(self, token: str) -> Principal:
        async with self._db.read() as connection:
            return self._of_login(await queries.find_login(connection, self.hash_login(token)))

    async def _load_login_id(self, login_id: str) -> Principal:
        async with self._db.read() as connection:
            return self._of_login(await queries.find_login_by_id(connection, login_id))

    def _of_login(self, row: RowMapping | None) -> Principal:
        now = self._clock.now()
        if row is None or row["disabled_at"] is not None or row["expires_at"] <= now:
            raise _login_ended()
        last = max(row["last_seen_at"], self._seen_logins.get(row["id"], row["last_seen_at"]))
        # Use is written late, hence the slack.
        if last + self._settings.login_idle + _TOUCH_EVERY <= now:
            raise _login_ended()
        return Principal(
            row["person_id"],
            row["name"],
            row["display_name"],
            row["is_admin"],
            via="login",
            login_id=row["id"],
        )

    async def _load_key(self, key: str) -> Principal:
        async with self._db.read() as connection:
            return self._of_key_row(await queries.find_key(connection, self.hash_key(key)))

    def _of_key_row(self, row: RowMapping | None) -> Principal:
        if row is None or row["disabled_at"] is not None or row["expires_at"] <= self._clock.now():
            raise NotSignedIn(
                "key-invalid",
                "This API key is unknown, revoked or expired.",
                hint="Make a new one: studiolo keys create, or on your account page.",
            )
        return _of_key(row)


def _of_key(row: RowMapping) -> Principal:
    return Principal(
        row["person_id"],
        row["person_name"],
        row["display_name"],
        row["is_admin"],
        via="key",
        key_id=row["id"],
        scopes=frozenset(row["scopes"]),
        workspace_id=row["workspace_id"],
        session_id=row["session_id"],
    )


def _login_ended() -> NotSignedIn:
    return NotSignedIn("login-ended", "Your sign-in has ended.", hint="Sign in again.")
