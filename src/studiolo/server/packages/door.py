"""The front door's question for `/pypi/…` and `/conda/…`: whose packages are they, and by which policy?

The caller is known by HTTP basic alone: a session's or kernel's own narrow key, a build's credential, or, under
`/w/{workspace}/`, a person's key. Any user name goes: what counts is the password.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from studiolo.contract.errors import NotSignedIn
from studiolo.kit.db import Database
from studiolo.packages.index.callers import HEADER, Caller, caller_header
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.http.identity import bearer
from studiolo.server.packages.credentials import PREFIX, IndexCredentials
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.host import IndexHost
from studiolo.server.principal import PLATFORM, Principal
from studiolo.server.workspaces.service import Workspaces

_PLACE = re.compile(r"/(?:w/(?P<workspace>[^/]+)/)?(?:pypi|conda)(?:/|$)")
Header = tuple[bytes, bytes]
# By it installers know that a name and a password are wanted.
CHALLENGE = 'Basic realm="Studiolo packages", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """What an address asks for. `reference`: of the workspace it names; empty: the caller's own."""

    reference: str


class IndexDoor:
    """Answers with the headers that the front door copies into the request, see docs/decisions/007."""

    def __init__(
        self,
        db: Database,
        authentication: Authentication,
        workspaces: Workspaces,
        credentials: IndexCredentials,
        host: IndexHost,
        policies: Policies,
    ) -> None:
        self._db = db
        self._authentication = authentication
        self._workspaces = workspaces
        self._credentials = credentials
        self._host = host
        self._policies = policies

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` when answers that were given hold no longer, for another reason than people's rights."""
        self._policies.watch(changed)

    async def answer(self, place: IndexPlace, secret: str) -> list[Header]:
        """Answer for what came as password or key. Raises NotSignedIn, Denied, NotFound."""
        if secret.startswith(PREFIX):
            bound = self._credentials.read(secret)
            row = await self._resolve(PLATFORM, bound.workspace_id, "workspace.read")
            if place.reference:
                raise _not_here()
            person, session, cause = bound.person_id, bound.session_id, bound.cause
        else:
            who = await self._authentication.by_key(secret)
            row = await self._workspace_of(who, place)
            person, session, cause = who.person_id, who.session_id or "", "client"
        _, policy = await self._policies.effective(row[0])
        caller = Caller(row[0], row[1], policy.hash, person, session, cause)
        return [
            (b"x-studiolo-upstream", self._host.upstream.encode()),
            (b"x-studiolo-secret", self._host.secret.encode()),
            (HEADER.lower().encode(), caller_header(caller).encode()),
        ]

    async def _workspace_of(self, who: Principal, place: IndexPlace) -> tuple[str, str]:
        is_narrow = who.workspace_id is not None and not who.is_gateway
        reference = place.reference or (who.workspace_id if is_narrow else None)
        if reference is None:
            raise _not_here()
        # What a session's key holds is less than this scope: it serves its own workspace alone.
        return await self._resolve(who, reference, "workspace.read" if is_narrow else "package.download")

    async def _resolve(self, who: Principal, reference: str, operation: str) -> tuple[str, str]:
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, operation)
        return row["id"], row["name"]


def find_place(path: str) -> IndexPlace | None:
    """Return what a raw path asks for; None for all other paths. The Caddyfile knows the same paths."""
    found = _PLACE.match(path)
    return IndexPlace(unquote(found["workspace"] or "")) if found else None


def find_secret(authorization: str) -> str:
    """Return the password, or the key, of an Authorization header. Raises NotSignedIn."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError) as exc:
            raise _unnamed() from exc
    if key := bearer(authorization):
        return key
    raise _unnamed()


def _unnamed() -> NotSignedIn:
    return NotSignedIn(
        "not-signed-in",
        "This index answers to sessions, kernels and keys.",
        hint="Send a key with the scope packages:read as the password, to /w/WORKSPACE/pypi/simple/.",
    )


def _not_here() -> NotSignedIn:
    return NotSignedIn(
        "not-signed-in",
        "This key belongs to no session; name the workspace.",
        hint="Its index is at /w/WORKSPACE/pypi/simple/.",
    )
