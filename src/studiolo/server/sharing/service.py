"""Use cases of shares. An editor shows a file to those who are members already; only owners make members (A-05)."""

from pathlib import PurePosixPath

from sqlalchemy import RowMapping

from studiolo.contract.details import Share, ShareCreate
from studiolo.contract.errors import InvalidInput, NotFound
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Page, PersonRef
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import cursor_invalid
from studiolo.kit.db import Database
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal
from studiolo.server.sharing import queries
from studiolo.server.workspaces.service import Workspaces


class Shares:
    """What members of a workspace show each other. A share is a pointer: the file's own rights stay as they are."""

    def __init__(self, db: Database, clock: Clock, workspaces: Workspaces, audit: Audit) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces
        self._audit = audit

    async def list_(self, who: Principal, workspace: str, *, cursor: str | None = None, limit: int = 50) -> Page[Share]:
        """Return what is shared in a workspace, newest first."""
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, workspace, "share.list")
            after = await queries.find_share(connection, row["id"], cursor) if cursor else None
            if cursor and after is None:
                raise cursor_invalid()
            found = await queries.list_shares(connection, row["id"], after, limit + 1)
        items = [_wire(share) for share in found[:limit]]
        return Page(items=items, next_cursor=items[-1].id if len(found) > limit else None)

    async def create(self, who: Principal, workspace: str, form: ShareCreate) -> Share:
        """Show a file to the members; what is shared already stays as it is. Raises InvalidInput (`path-invalid`)."""
        path = _inside(form.path)
        async with self._db.write() as tx:
            row = await self._workspaces.resolve(tx.connection, who, workspace, "share.create")
            known = await queries.find_path(tx.connection, row["id"], path)
            if known is not None:
                return _wire(known)
            values = {
                "id": new_id(IdKind.SHARE),
                "workspace_id": row["id"],
                "kind": "notebook" if path.endswith(".ipynb") else "file",
                "path": path,
                "shared_by": who.person_id,
                "at": self._clock.now(),
            }
            await queries.insert_share(tx.connection, values)
            topics = (f"workspace:{row['id']}",)
            await self._audit.record(
                tx, who, "share.create", row["name"], workspace_id=row["id"], topics=topics, path=path
            )
            return Share(id=values["id"], kind=values["kind"], path=path, shared_by=who.ref, at=values["at"])

    async def delete(self, who: Principal, workspace: str, share_id: str) -> None:
        """Share something no longer; the file stays. Raises NotFound (`share-not-found`)."""
        async with self._db.write() as tx:
            row = await self._workspaces.resolve(tx.connection, who, workspace, "share.delete")
            share = await queries.find_share(tx.connection, row["id"], share_id)
            if share is None:
                raise NotFound("share-not-found", f"Nothing of the id {share_id[:32]!r} is shared in {row['name']}.")
            await queries.delete_share(tx.connection, share_id)
            topics = (f"workspace:{row['id']}",)
            await self._audit.record(
                tx, who, "share.delete", row["name"], workspace_id=row["id"], topics=topics, path=share["path"]
            )


def _inside(path: str) -> str:
    """Return a path relative to the workspace's folder; a leading slash stands for that folder."""
    inside = PurePosixPath(path.strip().lstrip("/"))
    if not inside.parts or ".." in inside.parts or "\0" in path:
        raise InvalidInput(
            "path-invalid",
            f"{path[:100]!r} is no path in the workspace.",
            hint="Write it as the file browser shows it, for example notebooks/model-training.ipynb.",
        )
    return str(inside)


def _wire(row: RowMapping) -> Share:
    person = PersonRef(id=row["shared_by"], name=row["person_name"], display_name=row["person_display_name"])
    return Share(id=row["id"], kind=row["kind"], path=row["path"], shared_by=person, at=row["at"])
