"""How a browser enters a session: a single-use code, then a cookie of the session's own."""

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Denied, NotFound, NotSignedIn
from studiolo.kit.cache import MomentCache
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.accounts.passwords import is_password
from studiolo.server.principal import Principal
from studiolo.server.sessions import entry_queries, queries
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.service import Sessions
from studiolo.server.settings.sessions import SessionSettings

_PASSWORD_REMEMBER_SECONDS = 60.0
_WRONG_PASSWORD_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Entered:
    """A browser that may use a session. `shared_origin`: only under `/s/{id}/` of the platform's origin."""

    session_id: str
    who: Principal
    shared_origin: bool


class Entry:
    """Codes and cookies. A code is bound to login, session and the browser's nonce, and good once."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        authentication: Authentication,
        sessions: Sessions,
        session_secrets: SessionSecrets,
        settings: SessionSettings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._authentication = authentication
        self._sessions = sessions
        self._secrets = session_secrets
        self._settings = settings
        self._passwords: MomentCache[str, bool] = MomentCache(_PASSWORD_REMEMBER_SECONDS)

    async def mint(self, who: Principal, session_id: str, nonce_hash: str) -> str:
        """Return a code that the browser holding the nonce can exchange once at the session's origin."""
        code = secrets.token_urlsafe(24)
        async with self._db.write() as tx:
            await self._sessions.resolve(tx.connection, who, session_id, "session.enter")
            await entry_queries.insert_code(
                tx.connection,
                {
                    "code_hash": self._secrets.hash_code(code),
                    "session_id": session_id,
                    "login_id": who.login_id,
                    "bind": nonce_hash,
                    "shared_origin": False,
                    "expires_at": self._clock.now() + self._settings.entry_lifetime,
                },
            )
        return code

    async def redeem(self, session_id: str, code: str, nonce: str) -> str:
        """Exchange a code for the session's cookie; raises NotFound (`link-invalid`)."""
        async with self._db.write() as tx:
            row = await entry_queries.take_code(tx.connection, self._secrets.hash_code(code), self._clock.now())
            fits = (
                row is not None
                and row["session_id"] == session_id
                and hmac.compare_digest(row["bind"], hash_nonce(nonce))
            )
            if row is not None and fits:
                return await self._new_entry(tx.connection, session_id, row["login_id"], shared_origin=False)
        raise NotFound("link-invalid", "This way in was used before or has expired.", hint="Open the session again.")

    async def enter_shared(self, who: Principal, session_id: str) -> str:
        """Return a cookie for `/s/{id}/` of the platform's own origin (single-team mode)."""
        async with self._db.write() as tx:
            await self._sessions.resolve(tx.connection, who, session_id, "session.enter")
            return await self._new_entry(tx.connection, session_id, who.login_id or "", shared_origin=True)

    async def by_cookie(self, token: str) -> Entered:
        """Return who a session's cookie lets in, by their login as it is now; raises NotSignedIn."""
        async with self._db.read() as connection:
            row = await entry_queries.find_entry(connection, self._secrets.hash_entry(token))
        if row is None:
            raise NotSignedIn("login-ended", "Your way into this session has ended.", hint="Open it again.")
        who = await self._authentication.by_login_id(row["login_id"])
        return Entered(row["session_id"], who, row["shared_origin"])

    async def check_password(self, stored: str | None, given: str | None) -> None:
        """Raise Denied (`session-password-needed`) unless the session has no password or this is it."""
        if stored is None or (given and await self._is_password(stored, given)):
            return
        raise Denied(
            "session-password-needed",
            "This is not the session's password." if given else "This session was started with a password.",
            hint="Programs send it as the header Studiolo-Session-Password.",
        )

    async def knows_password(self, login_id: str, session_id: str, given: str | None) -> bool:
        """Tell whether this login gave the session's password just now, or a short while ago."""
        async with self._db.read() as connection:
            row = await queries.find(connection, session_id)
        stored = row["password_hash"] if row else None
        proof = f"{login_id}\0{session_id}\0{stored}"
        if stored is None or self._passwords.find(proof):
            return True
        if given is None or not await self._is_password(stored, given):
            return False
        self._passwords.put(proof, value=True)
        return True

    async def _is_password(self, stored: str, given: str) -> bool:
        name = hashlib.sha256(f"{stored}\0{given}".encode()).hexdigest()
        if self._passwords.find(name):
            return True
        if not await is_password(given, stored):
            # Slows guessing; a right password never waits.
            await asyncio.sleep(_WRONG_PASSWORD_SECONDS)
            return False
        self._passwords.put(name, value=True)
        return True

    async def _new_entry(
        self, connection: AsyncConnection, session_id: str, login_id: str, *, shared_origin: bool
    ) -> str:
        token = secrets.token_urlsafe(32)
        await entry_queries.insert_entry(
            connection,
            {
                "token_hash": self._secrets.hash_entry(token),
                "session_id": session_id,
                "login_id": login_id,
                "shared_origin": shared_origin,
                "created_at": self._clock.now(),
            },
        )
        return token


def hash_nonce(nonce: str) -> str:
    """The form in which a browser's nonce travels and is stored."""
    return hashlib.sha256(nonce.encode()).hexdigest()
