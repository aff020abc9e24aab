"""The front door's question for `/files/{workspace}/…`: who is it, and may they read or write there?"""

from dataclasses import dataclass
from urllib.parse import unquote

from studiolo.contract.errors import NotFound, NotSignedIn
from studiolo.files.host.addresses import OPERATIONS, find_address
from studiolo.files.host.callers import HEADER, Caller, caller_header
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.files.host import FileHost
from studiolo.server.principal import Principal
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

PREFIX = "/files/"
Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class FilePlace:
    """What an address asks for: `reference` of a workspace, and the operation."""

    reference: str
    operation: str


class FileDoor:
    """Answers with the headers that the front door copies into the request, see docs/decisions/006."""

    def __init__(
        self, db: Database, authentication: Authentication, workspaces: Workspaces, folders: Folders, host: FileHost
    ) -> None:
        self._db = db
        self._authentication = authentication
        self._workspaces = workspaces
        self._folders = folders
        self._host = host

    async def answer(self, place: FilePlace, *, key: str | None, login: str | None) -> list[Header]:
        """Answer for a key, else for a login's cookie. Raises NotSignedIn, Denied, NotFound."""
        who = await self._who(key, login)
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, place.reference, place.operation)
        folder = self._folders.here(row)
        credential = who.login_id or who.key_id or ""
        caller = Caller(row["id"], str(folder), place.operation, who.person_id, credential)
        return [
            (b"x-studiolo-upstream", self._host.upstream.encode()),
            (b"x-studiolo-secret", self._host.secret.encode()),
            (HEADER.lower().encode(), caller_header(caller).encode()),
        ]

    async def _who(self, key: str | None, login: str | None) -> Principal:
        if key is not None:
            return await self._authentication.by_key(key)
        if login:
            return await self._authentication.by_login(login)
        raise NotSignedIn(
            "not-signed-in",
            "You are not signed in.",
            hint="Sign in, or send a key: Authorization: Bearer KEY.",
        )


def find_place(method: str, path: str) -> FilePlace:
    """Return what a raw path below `/files/` asks for. Raises NotFound (`route-not-found`)."""
    reference, _, rest = path.removeprefix(PREFIX).partition("/")
    address = find_address(method, rest)
    if not reference or address is None:
        raise NotFound("route-not-found", "There is nothing at this address.")
    return FilePlace(unquote(reference), OPERATIONS[address])
