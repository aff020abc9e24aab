"""Sign in on a machine without a browser: a program shows a code, somebody signed in approves it elsewhere.

After RFC 8628. Both codes are stored as keyed hashes; what the program gets in the end is an API key.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.details import DeviceCode, DevicePoll, DeviceStart
from studiolo.contract.errors import Conflict, Denied, LimitReached, NotFound
from studiolo.contract.models import KeyCreate, KeyCreated
from studiolo.kit.cache import MomentCache
from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey, new_token
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts import device_queries, queries
from studiolo.server.accounts.keys import Keys
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal

LIFETIME = timedelta(minutes=10)
INTERVAL_SECONDS = 2
# Consonants without Y: no words come of them, and none is mistaken for a digit (RFC 8628, 6.1).
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_PENDING_PER_ADDRESS = 10
_PENDING_IN_ALL = 500
# Wrong codes that a person may type within a code's life; there are 20 to the power of 8 codes.
_GUESSES = 20


@dataclass(frozen=True, slots=True)
class PendingDevice:
    """A sign-in that waits for an answer, as the person who answers sees it."""

    user_code: str
    key_name: str
    asked_from: str
    expires_at: datetime


class Devices:
    """Sign-ins begun on machines without a browser. `address`: the platform's own."""

    def __init__(
        self, db: Database, clock: Clock, master: MasterKey, keys: Keys, audit: Audit, *, address: str
    ) -> None:
        self._db = db
        self._clock = clock
        self._master = master
        self._keys = keys
        self._audit = audit
        self._page = f"{address}/sign-in/device"
        self._guesses: MomentCache[str, int] = MomentCache(LIFETIME.total_seconds())
        self._polled: MomentCache[str, bool] = MomentCache(INTERVAL_SECONDS / 2)

    async def begin(self, form: DeviceStart, asked_from: str) -> DeviceCode:
        """Begin a sign-in. `asked_from`: the program's address on the network.

        Raises LimitReached (`too-many-attempts`) while too many wait for an answer.
        """
        device_code, letters, now = new_token("std"), [secrets.choice(_LETTERS) for _ in range(8)], self._clock.now()
        user_code = f"{''.join(letters[:4])}-{''.join(letters[4:])}"
        async with self._db.write() as tx:
            await device_queries.delete_expired(tx.connection, now)
            everywhere, here = await device_queries.count_pending(tx.connection, asked_from[:256])
            if everywhere >= _PENDING_IN_ALL or here >= _PENDING_PER_ADDRESS:
                raise _too_many("sign-ins wait for an answer", int(LIFETIME.total_seconds()))
            await device_queries.insert_device(
                tx.connection,
                {
                    "device_hash": self._master.digest("device", device_code),
                    "user_code": self._hash_user_code(user_code),
                    "key_name": form.key_name,
                    "asked_from": asked_from[:256],
                    "expires_at": now + LIFETIME,
                },
            )
        return DeviceCode(
            device_code=device_code,
            user_code=user_code,
            verification_uri=self._page,
            verification_uri_complete=f"{self._page}?code={user_code}",
            expires_in=int(LIFETIME.total_seconds()),
            interval=INTERVAL_SECONDS,
        )

    async def poll(self, form: DevicePoll) -> KeyCreated:
        """Return the key of an approved sign-in, once.

        Raises Conflict (`device-code-pending`), NotFound (`device-code-expired`) and, for a program that asks
        too often, LimitReached (`too-many-attempts`).
        """
        wanted = self._master.digest("device", form.device_code)
        self._slow_down(wanted)
        async with self._db.read() as connection:
            waiting = await device_queries.find_by_device(connection, wanted)
        self._require_open(waiting)
        if waiting is None or waiting["person_id"] is None:
            raise Conflict("device-code-pending", "Nobody has approved the sign-in yet.", hint="Ask again in a moment.")
        async with self._db.write() as tx:
            if not await device_queries.take_device(tx.connection, wanted):
                raise _expired()
            return await self._make_key(tx, waiting)

    async def find(self, who: Principal, user_code: str) -> PendingDevice:
        """Return the sign-in that a code belongs to, however it was typed (`wdjb mjht`).

        Raises NotFound (`device-code-expired`), LimitReached (`too-many-attempts`) after many wrong codes.
        """
        who.require("account.approve-device")
        async with self._db.read() as connection:
            row = await self._find_pending(connection, who, user_code)
        return PendingDevice(_plain(user_code), row["key_name"], row["asked_from"], row["expires_at"])

    async def approve(self, who: Principal, user_code: str) -> None:
        """Let the program have a key of this person's. Errors as of `find`; Denied with a narrowed key."""
        await self._answer(who, user_code, "account.approve-device", person_id=who.person_id)

    async def refuse(self, who: Principal, user_code: str) -> None:
        """Turn the program away. Errors as of `find`."""
        await self._answer(who, user_code, "account.refuse-device", refused_at=self._clock.now())

    async def _answer(self, who: Principal, user_code: str, action: str, **values: object) -> None:
        who.require("account.approve-device")
        if who.scopes is not None:
            # What is approved may do all that the person may; a key must not come by more than it has.
            raise Denied("denied", "Only somebody signed in with a browser may answer this.", hint="Sign in.")
        async with self._db.write() as tx:
            row = await self._find_pending(tx.connection, who, user_code)
            await device_queries.update_device(tx.connection, row["device_hash"], values)
            await self._audit.record(tx, who, action, row["key_name"], asked_from=row["asked_from"])

    async def _find_pending(self, connection: AsyncConnection, who: Principal, user_code: str) -> RowMapping:
        wrong = self._guesses.find(who.person_id) or 0
        if wrong >= _GUESSES:
            raise _too_many("wrong codes were typed", int(LIFETIME.total_seconds()))
        row = await device_queries.find_by_user(connection, self._hash_user_code(user_code))
        if row is None:
            self._guesses.put(who.person_id, wrong + 1)
        self._require_open(row)
        if row is None or row["person_id"] is not None:
            raise _expired()
        return row

    def _require_open(self, row: RowMapping | None) -> None:
        if row is None or row["refused_at"] is not None or row["expires_at"] <= self._clock.now():
            raise _expired()

    async def _make_key(self, tx: Transaction, device: RowMapping) -> KeyCreated:
        row = await queries.find_person(tx.connection, device["person_id"])
        if row is None or row["disabled_at"] is not None:
            raise _expired()
        who = Principal(row["id"], row["name"], row["display_name"], row["is_admin"], via="device")
        return await self._keys.add_key(tx, who, KeyCreate(name=device["key_name"]))

    def _hash_user_code(self, user_code: str) -> str:
        # 64 bits are enough to tell codes apart that live for minutes, and fit the column.
        return self._master.digest("user-code", _plain(user_code))[:16]

    def _slow_down(self, device: str) -> None:
        if self._polled.find(device):
            raise _too_many("questions came", INTERVAL_SECONDS)
        self._polled.put(device, True)


def _plain(user_code: str) -> str:
    letters = "".join(letter for letter in user_code[:40].upper() if letter in _LETTERS)
    return f"{letters[:4]}-{letters[4:]}"


def _expired() -> NotFound:
    return NotFound(
        "device-code-expired",
        "This code is unknown: it was mistyped, refused, used, or ten minutes have passed.",
        hint="Begin again with `studiolo login` on the machine that showed the code.",
    )


def _too_many(what: str, seconds: int) -> LimitReached:
    return LimitReached(
        "too-many-attempts", f"Too many {what}.", hint=f"Try again in {seconds} seconds.", retry_after=seconds
    )
