"""All SQL of moves between engines, and whether a workspace stands still."""

from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict
from studiolo.server.workspaces.tables import moves

# Files are on their way: nothing may change them.
COPYING = ("copying", "checking")
# Something is left to do, by us or by a person.
OPEN = (*COPYING, "moved", "releasing", "returning")
# We have something to do.
DUE = (*COPYING, "releasing", "returning")


async def find(connection: AsyncConnection, workspace_id: str) -> RowMapping | None:
    """The last move of a workspace."""
    query = select(moves).where(moves.c.workspace_id == workspace_id)
    return (await connection.execute(query)).mappings().first()


async def list_due(connection: AsyncConnection) -> list[str]:
    """Workspaces whose move goes on."""
    query = select(moves.c.workspace_id).where(moves.c.state.in_(DUE))
    return list((await connection.execute(query)).scalars())


async def replace(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Begin a move; the one before is over."""
    await connection.execute(delete(moves).where(moves.c.workspace_id == values["workspace_id"]))
    await connection.execute(insert(moves).values(**values))


async def change(connection: AsyncConnection, workspace_id: str, states: tuple[str, ...], **values: Any) -> bool:
    """Change a move that is in one of these states; False if it is not any more."""
    which = (moves.c.workspace_id == workspace_id) & moves.c.state.in_(states)
    return bool((await connection.execute(update(moves).where(which).values(**values))).rowcount)


async def check_still(connection: AsyncConnection, workspace_id: str) -> None:
    """Raise Conflict (`workspace-moving`) while a workspace's files are on their way."""
    row = await find(connection, workspace_id)
    if row is not None and row["state"] in COPYING:
        raise Conflict(
            "workspace-moving",
            f"The workspace's files are being copied from {row['came']} to {row['goes']}; nothing starts meanwhile.",
            hint="studiolo move WORKSPACE shows how far it is; with --cancel it stays where it was.",
        )
