"""What the file host asks and tells the control plane: `POST /_files/…` with the secret that both know."""

from typing import Any

from sqlalchemy import select
from starlette.responses import Response

from studiolo.contract.errors import Denied, InvalidInput, NotFound, StudioloError
from studiolo.files.host.callers import Caller, caller_of
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.audit.service import Audit
from studiolo.server.audit.tables import audit_events
from studiolo.server.files.host import FileHost
from studiolo.server.http.beside import read_question
from studiolo.server.http.edge import MAX_BODY_BYTES, Receive, Scope, Send
from studiolo.server.http.problems import problem
from studiolo.server.principal import Principal
from studiolo.server.workspaces.service import Workspaces

PREFIX = "/_files/"


class FileQuestions:
    """A bare ASGI application; errors leave as problem replies, which the host passes on to its clients."""

    def __init__(
        self, db: Database, authentication: Authentication, workspaces: Workspaces, audit: Audit, host: FileHost
    ) -> None:
        self._db = db
        self._authentication = authentication
        self._workspaces = workspaces
        self._audit = audit
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question of the host's."""
        try:
            self._host.check_secret(scope)
            body = await read_question(receive, most_bytes=MAX_BODY_BYTES)
            await self._answer(scope["path"].removeprefix(PREFIX), body)
        except StudioloError as exc:
            await problem(exc)(scope, receive, send)
            return
        except (KeyError, TypeError, ValueError) as exc:
            told = InvalidInput("request-invalid", "The file host's question is not understood.", detail=repr(exc))
            await problem(told)(scope, receive, send)
            return
        await Response(status_code=204)(scope, receive, send)

    async def _answer(self, what: str, body: dict[str, Any]) -> None:
        caller = caller_of(body["caller"])
        match what:
            case "check":
                await self._check(caller)
            case "uploaded":
                await self._record(caller, body["upload"])
            case _:
                raise NotFound("route-not-found", "There is nothing at this address.")

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
