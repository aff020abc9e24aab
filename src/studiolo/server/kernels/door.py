"""The front door's question for kernels: who is it, whose kernels may they reach, and what may they do there?"""

from urllib.parse import parse_qs

from sqlalchemy import RowMapping

from studiolo.contract.errors import NotFound, NotSignedIn
from studiolo.contract.operations import Role
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.kernels import queries
from studiolo.server.kernels.callers import ALL, HEADER, SEE, caller_header, rights_of
from studiolo.server.kernels.default_workspace import DefaultWorkspaces
from studiolo.server.kernels.host import KernelHost
from studiolo.server.kernels.hosts import KernelHosts
from studiolo.server.kernels.lookup import KernelLookup
from studiolo.server.kernels.places import Place
from studiolo.server.principal import Principal
from studiolo.server.sessions.queries import KERNELS
from studiolo.server.workspaces.service import Workspaces

Header = tuple[bytes, bytes]
# Keys of this kind alone may stand in an address.
GATEWAY_PREFIX = "stg_"


class KernelDoor:
    """Answers with the headers that the front door copies into the request, see docs/decisions/005."""

    def __init__(
        self,
        db: Database,
        authentication: Authentication,
        workspaces: Workspaces,
        lookup: KernelLookup,
        defaults: DefaultWorkspaces,
        hosts: KernelHosts,
    ) -> None:
        self._db = db
        self._authentication = authentication
        self._workspaces = workspaces
        self._lookup = lookup
        self._defaults = defaults
        self._hosts = hosts

    async def answer(self, place: Place, key: str) -> list[Header]:
        """Answer for a place outside sessions. Raises NotSignedIn, Denied, NotFound."""
        who = (await self._authentication.by_key(key)).at_gateway()
        scope, rights = await self._find(place, who)
        header = caller_header(who, scope=scope, rights=rights, prefix=place.prefix)
        session_id = scope.partition(".")[0] if scope.startswith("s-") else None
        return _headers(await self._hosts.of_kernels(session_id), header)

    async def of_session(self, row: RowMapping, who: Principal, origin: str | None) -> list[Header]:
        """Answer for somebody who was let into a session; `row`: the session's.

        Empty for a session whose kernels have no host: its own server has them. Raises Unavailable.
        """
        host = await self._hosts.of_session(row)
        if host is None:
            return []
        scope, prefix = f"{row['id']}.{row['handle_launch'] or row['launch']}", f"/s/{row['id']}/"
        return _headers(host, caller_header(who, scope=scope, rights=ALL, prefix=prefix, origin=origin))

    def preflight(self) -> list[Header]:
        """Answer for a browser's question whether other sites may ask (CORS), which carries no key."""
        return _headers(self._hosts.here, None)

    async def _find(self, place: Place, who: Principal) -> tuple[str, tuple[str, ...]]:
        if place.kind == "workspace":
            scope, rights = await self._of_workspace(place.reference, who)
            found = await self._of_place_elsewhere(place.kernel, scope, who) if place.kernel else None
            return found or (scope, rights)
        if place.reference and (found := await self._of_kernel(place.reference, who)):
            return found
        return await self._of_workspace(who.workspace_id or await self._defaults.find_or_make(who), who)

    async def _of_workspace(self, reference: str, who: Principal) -> tuple[str, tuple[str, ...]]:
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, "kernel.specs")
        return row["id"], _narrowed(rights_of(Role(row["role"]) if row["role"] else None), who)

    async def _of_place_elsewhere(
        self, kernel_id: str, workspace_id: str, who: Principal
    ) -> tuple[str, tuple[str, ...]] | None:
        """The scope of a workspace's headless kernel that runs on another engine; None for any other one."""
        async with self._db.read() as connection:
            row = await queries.find(connection, kernel_id)
        if row is None or row["workspace_id"] != workspace_id or row["session_kind"] != KERNELS:
            return None
        return await self._of_kernel(kernel_id, who)

    async def _of_kernel(self, kernel_id: str, who: Principal) -> tuple[str, tuple[str, ...]] | None:
        """The scope of a kernel that is named by its id; None for one that is unknown here."""
        async with self._db.read() as connection:
            try:
                row, role = await self._lookup.resolve_with_role(connection, who, kernel_id, "kernel.output")
            except NotFound:
                return None
        return row["scope"], _narrowed(rights_of(role), who)


def _headers(host: KernelHost, caller: str | None) -> list[Header]:
    known = [(HEADER.lower().encode(), caller.encode())] if caller else []
    upstream = (b"x-studiolo-upstream", host.upstream.encode())
    return [upstream, (b"x-studiolo-secret", host.secret.encode()), *known]


def find_key(in_header: str | None, query: str) -> str:
    """Return the key of a request: from its Authorization header, else, a gateway key only, from `?token=`.

    Raises NotSignedIn.
    """
    if in_header is not None:
        return in_header
    # At most so many members: nothing else in an address is ours.
    try:
        token = parse_qs(query, max_num_fields=100).get("token", [""])[-1] if "token=" in query else ""
    except ValueError:
        token = ""
    if token.startswith(GATEWAY_PREFIX):
        return token
    if token:
        raise NotSignedIn(
            "key-invalid",
            "Only gateway keys (stg_…) may stand in an address: others could be logged on their way.",
            hint="Send the key as a header, Authorization: token KEY, or make a gateway key.",
        )
    raise NotSignedIn(
        "not-signed-in",
        "This needs a key.",
        hint="Send one: Authorization: token KEY. studiolo keys create --gateway makes one.",
    )


def _narrowed(rights: tuple[str, ...], who: Principal) -> tuple[str, ...]:
    """A key that may only read sees output and starts nothing."""
    may_write = who.scopes is None or "sessions:write" in who.scopes
    return rights if may_write else tuple(right for right in rights if right in SEE)
