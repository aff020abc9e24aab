"""What the file host asks and tells the control plane: `POST /_files/…` with the secret that both know."""

from typing import Any

from sqlalchemy import select

from studiolo.contract.errors import Denied, NotFound
from studiolo.files.host.callers import Caller, caller_of
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.audit.service import Audit
from studiolo.server.audit.tables import audit_events
from studiolo.server.files.host import FileHost
from studiolo.server.http.beside import Questions
from studiolo.server.principal import Principal
from studiolo.server.workspaces.service import Workspaces

PREFIX = "/_files/"


class FileQuestions(Questions):
    """May a transfer go on, and what was uploaded."""

    prefix, asker = PREFIX, "file host"

    def __init__(
        self, db: Database, authentication: Authentication, workspaces: Workspaces, audit: Audit, host: FileHost
    ) -> None:
        super().__init__(host)
        self._db = db
        self._authentication = authentication
        self._workspaces = workspaces
        self._audit = audit

    async def _answer(self, what: str, body: dict[str, Any]) -> dict[str, Any] | None:
        caller = caller_of(body["caller"])
        match what:
            case "check":
                await self._check(caller)
            case "uploaded":
                await self._record(caller, body["upload"])
            case _:
                raise NotFound("route-not-found", "There is nothing at this address.")
        return None

    async def _check(self, caller: Caller) -> None:
        who = await self._identify(caller)
        async with self._db.read() as connection:
            await self._workspaces.resolve(connection, who, caller.workspace, caller.operation)

    async def _record(self, caller: Caller, upload: dict[str, Any]) -> None:
        who, upload_id = await self._identify(caller), str(upload["id"])
        detail = {"path": str(upload["path"]), "size": int(upload["size"]), "overwrote": bool(upload["overwrote"])}
        async with self._db.write() as tx:
            row = await self._workspaces.resolve(tx.connection, who, caller.workspace, "file.write")
            known = select(audit_events.c.id).where(
                audit_events.c.workspace_id == row["id"],
                audit_events.c.action == "file.upload",
                audit_events.c.detail["upload"].as_string() == upload_id,
            )
            if (await tx.connection.execute(known)).first() is None:
                await self._audit.record(
                    tx,
                    who,
                    "file.upload",
                    row["name"],
                    workspace_id=row["id"],
                    topics=(f"workspace:{row['id']}",),
                    upload=upload_id,
                    **detail,
                )

    async def _identify(self, caller: Caller) -> Principal:
        """Who it is now, whatever the front door was told when the request began."""
        load = self._authentication.by_login_id if caller.login.startswith("l-") else self._authentication.by_key_id
        who = await load(caller.login)
        if who.person_id != caller.person:
            raise Denied("denied", "The login belongs to somebody else.")
        return who
