"""Signing in with a JupyterHub: who is who there and here, and who is let in.

An account belongs to a user of the Hub when its id was derived from them, as the account was made at their first
sign-in, or when an administrator linked the two. An equal name means nothing.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError

from studiolo.contract.errors import Conflict, Denied, InvalidInput, NotFound, NotSignedIn
from studiolo.contract.ids import IdKind, id_from
from studiolo.contract.models import PersonCreate
from studiolo.contract.names import RULE, check_name
from studiolo.kit.cache import MomentCache
from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.server.accounts import queries
from studiolo.server.accounts.hub_provider import HubProvider, HubUser
from studiolo.server.accounts.newcomers import insert_newcomer
from studiolo.server.accounts.service import Accounts
from studiolo.server.accounts.suspension import Suspension
from studiolo.server.audit.service import Audit
from studiolo.server.principal import PLATFORM, Principal
from studiolo.server.settings.hub_sign_in import HubSignInSettings

CALLBACK = "/sign-in/jupyterhub/callback"
TITLE = "JupyterHub"
LIFETIME = timedelta(minutes=10)
_VIA = "jupyterhub"
_Row = Mapping[str, Any] | RowMapping
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Begun:
    """A browser goes to `url`, and keeps `pending` until it comes back."""

    url: str
    pending: str


class HubSignIn:
    """Begins and finishes sign-ins. Nothing of one is stored: all of it follows from what its browser keeps.

    `pending` is `<expires>.<random>.<next>`; state and PKCE verifier are keyed hashes of the whole, so that neither
    can be made up, and a browser that did not begin a sign-in cannot finish it. `address`: the platform's own.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        master: MasterKey,
        settings: HubSignInSettings,
        accounts: Accounts,
        suspension: Suspension,
        audit: Audit,
        *,
        address: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._master = master
        self._settings = settings
        self._accounts = accounts
        self._suspension = suspension
        self._audit = audit
        self._provider = HubProvider(settings, f"{address}{CALLBACK}")
        # The Hub lets a code count once; this is for a sign-in that is repeated with another code.
        self._used: MomentCache[str, bool] = MomentCache(LIFETIME.total_seconds())

    async def begin(self, next_: str) -> Begun:
        """Begin a sign-in that ends at `next_`, a path here.

        Raises NotFound (`route-not-found`) where there is no Hub, Unavailable (`sign-in-provider-unavailable`).
        """
        self._require_on()
        await self._provider.check_answers()
        expires = int((self._clock.now() + LIFETIME).timestamp())
        kept = base64.urlsafe_b64encode(next_.encode()).decode()
        pending = f"{expires}.{secrets.token_urlsafe(24)}.{kept}"
        return Begun(self._provider.authorize_url(self._state(pending), self._verifier(pending)), pending)

    async def finish(self, pending: str, *, state: str, code: str, user_agent: str) -> tuple[str, str]:
        """Return a new login's token, and where to go on, for a browser that comes back from the Hub.

        Raises NotSignedIn (`sign-in-not-begun`, `sign-in-refused`), Denied (`sign-in-not-linked`,
        `person-suspended`), Unavailable (`sign-in-provider-unavailable`), NotFound (`route-not-found`).
        """
        self._require_on()
        next_ = self._check(pending, state)
        if not code:
            raise NotSignedIn("sign-in-refused", "The JupyterHub let nobody in.", hint="Begin again.")
        self._used.put(state, True)
        user = await self._provider.identify(code, self._verifier(pending))
        person = await self._follow_flag(await self._admit(user), user)
        return await self._accounts.begin_login(person, user_agent, by=_VIA), next_

    def _check(self, pending: str, state: str) -> str:
        expires, _, rest = pending.partition(".")
        is_ours = bool(pending) and hmac.compare_digest(self._state(pending).encode(), state.encode())
        if not is_ours or int(expires) <= self._clock.now().timestamp() or self._used.find(state):
            raise NotSignedIn(
                "sign-in-not-begun",
                "This sign-in was not begun by this browser, took more than ten minutes, or was finished before.",
                hint="Begin again.",
            )
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            return base64.urlsafe_b64decode(rest.partition(".")[2]).decode()
        return "/"

    async def _admit(self, user: HubUser) -> _Row:
        """Return the row of the account that belongs to a user of the Hub, made now if that is allowed."""
        person_id = self._id_of(user)
        row = await self._find(user, person_id)
        if row is None and self._settings.create_people:
            try:
                return await self._create(user, person_id)
            except IntegrityError as exc:
                # Two browsers may come for the first time at once; else the name is somebody else's.
                row = await self._find(user, person_id)
                if row is None:
                    raise _not_linked(user, f"an account here is called {user.name!r} and is not linked to it") from exc
        if row is None:
            raise _not_linked(user, "no account here belongs to it")
        if row["erased_at"] is not None:
            raise _not_linked(user, "the account that belonged to it was erased")
        if row["disabled_at"] is not None:
            raise Denied("person-suspended", "Your account here is suspended.", hint="Ask an administrator.")
        return row

    async def _find(self, user: HubUser, person_id: str) -> RowMapping | None:
        linked = self._settings.people.get(user.name)
        async with self._db.read() as connection:
            if linked is None:
                return await queries.find_by_id(connection, person_id)
            row = await queries.find_person(connection, linked)
        # An id or address is no name: what a link says is meant as it stands.
        if row is None or row["name"] != linked:
            raise _not_linked(user, f"it is linked to {linked[:_SHOWN]!r}, and nobody here is called so")
        return row

    async def _create(self, user: HubUser, person_id: str) -> dict[str, Any]:
        try:
            check_name(user.name, what="person")
        except InvalidInput as exc:
            raise _not_linked(user, f"nobody here can be called so: a name has {RULE}") from exc
        form = PersonCreate(name=user.name, is_admin=self._settings.administrators and user.is_admin)
        async with self._db.write() as tx:
            row = await insert_newcomer(tx, form, self._clock.now(), person_id=person_id)
            who = Principal(row["id"], row["name"], row["display_name"], row["is_admin"], via=_VIA)
            await self._audit.record(tx, who, "person.arrive", form.name, is_admin=form.is_admin)
        return row

    async def _follow_flag(self, person: _Row, user: HubUser) -> _Row:
        """Make administrators as the Hub has them, where that is wanted; the last one stays one."""
        if not self._settings.administrators or person["is_admin"] == user.is_admin:
            return person
        with contextlib.suppress(Conflict):
            await self._suspension.set_admin(PLATFORM, person["id"], user.is_admin)
        async with self._db.read() as connection:
            return await queries.find_by_id(connection, person["id"]) or person

    def _require_on(self) -> None:
        if not self._settings.url:
            raise NotFound("route-not-found", "Nobody signs in with a JupyterHub here.", hint="Use your password.")

    def _id_of(self, user: HubUser) -> str:
        whole = "\n".join((_VIA, self._settings.url, user.name))
        return id_from(IdKind.PERSON, hashlib.sha256(whole.encode()).hexdigest())

    def _state(self, pending: str) -> str:
        return self._master.digest("hub-state", pending)

    def _verifier(self, pending: str) -> str:
        return self._master.digest("hub-verifier", pending)


def _not_linked(user: HubUser, why: str) -> Denied:
    return Denied(
        "sign-in-not-linked",
        f"The JupyterHub says that you are {user.name[:_SHOWN]!r} there, but {why}.",
        hint="An administrator can link you to an account here: accounts.jupyterhub.people in the settings.",
    )
