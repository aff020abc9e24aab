"""All SQL of workspaces and members."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.models import Through
from studiolo.contract.operations import Role
from studiolo.server.accounts.tables import people
from studiolo.server.workspaces.tables import former_names, members, workspace_accounts, workspaces

_owner = people.alias("owner")
_mine = members.alias("mine")


def _visible(person_id: str, *, everything: bool) -> Any:
    """Live workspaces with their owner and the person's role: those of the person, or all."""
    joined = workspaces.join(_owner, _owner.c.id == workspaces.c.owner_id).join(
        _mine,
        (_mine.c.workspace_id == workspaces.c.id) & (_mine.c.person_id == person_id),
        isouter=everything,
    )
    return (
        select(
            workspaces,
            _owner.c.name.label("owner_name"),
            _owner.c.display_name.label("owner_display_name"),
            _mine.c.role.label("role"),
        )
        .select_from(joined)
        .where(workspaces.c.deleted_at.is_(None))
    )


async def find_by_id(connection: AsyncConnection, person_id: str, workspace_id: str) -> RowMapping | None:
    """A live workspace with the person's role (None: no member)."""
    query = _visible(person_id, everything=True).where(workspaces.c.id == workspace_id)
    return (await connection.execute(query)).mappings().first()


async def list_by_id(connection: AsyncConnection, ids: Sequence[str]) -> list[RowMapping]:
    """Live workspaces with their owners."""
    query = select(workspaces, _owner.c.name.label("owner_name")).join(_owner, _owner.c.id == workspaces.c.owner_id)
    query = query.where(workspaces.c.id.in_(ids), workspaces.c.deleted_at.is_(None))
    return list((await connection.execute(query)).mappings())


async def list_owned(connection: AsyncConnection, person_id: str) -> list[RowMapping]:
    """Id and name of the live workspaces that a person owns, by name."""
    query = select(workspaces.c.id, workspaces.c.name).where(workspaces.c.owner_id == person_id)
    query = query.where(workspaces.c.deleted_at.is_(None)).order_by(workspaces.c.name)
    return list((await connection.execute(query)).mappings())


async def list_ids_of_member(connection: AsyncConnection, person_id: str) -> list[str]:
    """Ids of all workspaces that a person is a member of, deleted ones too."""
    query = select(members.c.workspace_id).where(members.c.person_id == person_id)
    return list((await connection.execute(query)).scalars())


async def find_person_name(connection: AsyncConnection, person_id: str) -> str | None:
    """The name of a person."""
    return (await connection.execute(select(people.c.name).where(people.c.id == person_id))).scalar_one_or_none()


async def find_named(
    connection: AsyncConnection, person_id: str, name: str, owner: str | None, *, everything: bool
) -> list[RowMapping]:
    """Visible live workspaces of this name, the person's own first."""
    query = _visible(person_id, everything=everything).where(workspaces.c.name == name)
    if owner is not None:
        query = query.where(or_(_owner.c.name == owner, _owner.c.email == owner))
    query = query.order_by(workspaces.c.owner_id != person_id, _owner.c.name).limit(20)
    return list((await connection.execute(query)).mappings())


async def find_former(
    connection: AsyncConnection, person_id: str, name: str, owner: str | None, *, everything: bool
) -> list[RowMapping]:
    """Visible live workspaces that had this name, or this owner with this name; the last renamed first."""
    query = _visible(person_id, everything=everything).join(
        former_names, former_names.c.workspace_id == workspaces.c.id
    )
    query = query.where(former_names.c.name == name)
    if owner is not None:
        had = people.alias("had")
        query = query.join(had, had.c.id == former_names.c.owner_id)
        query = query.where(or_(had.c.name == owner, had.c.email == owner))
    query = query.order_by(workspaces.c.owner_id != person_id, former_names.c.since.desc()).limit(20)
    found = {row["id"]: row for row in (await connection.execute(query)).mappings()}
    return list(found.values())


async def add_former_name(
    connection: AsyncConnection, owner_id: str, name: str, workspace_id: str, at: datetime
) -> None:
    """Let an address that a workspace had lead to it, and to no other that had it before."""
    await free_name(connection, owner_id, name)
    values = {"owner_id": owner_id, "name": name, "workspace_id": workspace_id, "since": at}
    await connection.execute(insert(former_names).values(**values))


async def free_name(connection: AsyncConnection, owner_id: str, name: str) -> None:
    """Let an address lead nowhere else: a live workspace takes it."""
    which = (former_names.c.owner_id == owner_id) & (former_names.c.name == name)
    await connection.execute(delete(former_names).where(which))


async def lock(connection: AsyncConnection, workspace_id: str) -> None:
    """Hold a workspace's row until the transaction ends; SQLite has one writer anyway."""
    await connection.execute(select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update())


async def give_account(connection: AsyncConnection, workspace_id: str, first: int, last: int) -> int | None:
    """Return the number of a workspace, given now if it has none; None: they are used up.

    Raises IntegrityError if it was given to another one meanwhile.
    """
    accounts = workspace_accounts.c
    query = select(accounts.account).where(accounts.workspace_id == workspace_id)
    known: int | None = (await connection.execute(query)).scalar_one_or_none()
    if known is not None:
        return known
    highest: int | None = (await connection.execute(select(func.max(accounts.account)))).scalar_one()
    account = max(first, (highest or 0) + 1)
    if account > last:
        return None
    await connection.execute(insert(workspace_accounts).values(account=account, workspace_id=workspace_id))
    return account


async def list_accounts(connection: AsyncConnection) -> dict[str, int]:
    """Return the numbers of all workspaces that ever had one, by id."""
    rows = await connection.execute(select(workspace_accounts.c.workspace_id, workspace_accounts.c.account))
    return {row[0]: row[1] for row in rows}


async def list_without_root(connection: AsyncConnection) -> list[str]:
    """Return the ids of workspaces whose files lie in our own place; deleted ones, too, not those that were erased."""
    query = select(workspaces.c.id).where(workspaces.c.root.is_(None), workspaces.c.erased_at.is_(None))
    return list((await connection.execute(query)).scalars())


async def find_by_root(connection: AsyncConnection, person_id: str, root: str) -> RowMapping | None:
    """The person's live workspace on a folder."""
    query = _visible(person_id, everything=False).where(workspaces.c.root == root)
    return (await connection.execute(query.order_by(workspaces.c.owner_id != person_id))).mappings().first()


async def list_page(
    connection: AsyncConnection,
    person_id: str,
    *,
    everything: bool,
    text: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> list[RowMapping]:
    """A page of visible workspaces by name."""
    query = _visible(person_id, everything=everything).order_by(workspaces.c.name, workspaces.c.id).limit(limit)
    if text:
        query = query.where(workspaces.c.name.contains(text.lower(), autoescape=True))
    if after is not None:
        name, workspace_id = after
        query = query.where(
            or_(workspaces.c.name > name, (workspaces.c.name == name) & (workspaces.c.id > workspace_id))
        )
    return list((await connection.execute(query)).mappings())


async def list_names(connection: AsyncConnection, person_id: str, *, everything: bool, limit: int = 2000) -> list[str]:
    """Names of visible workspaces, last changed first, for suggestions."""
    query = _visible(person_id, everything=everything).with_only_columns(workspaces.c.name)
    return list((await connection.execute(query.order_by(workspaces.c.modified_at.desc()).limit(limit))).scalars())


async def count_members(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
    """Number of members for each workspace."""
    query = select(members.c.workspace_id, func.count()).where(members.c.workspace_id.in_(list(ids)))
    return {row[0]: row[1] for row in await connection.execute(query.group_by(members.c.workspace_id))}


async def insert_workspace(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a workspace with its owner as member."""
    await connection.execute(insert(workspaces).values(**values))
    await set_member(connection, values["id"], values["owner_id"], Role.OWNER, values["created_at"], through="created")


async def update_workspace(connection: AsyncConnection, workspace_id: str, **values: Any) -> bool:
    """Change a live workspace; False if it is gone."""
    which = (workspaces.c.id == workspace_id) & workspaces.c.deleted_at.is_(None)
    return bool((await connection.execute(update(workspaces).where(which).values(**values))).rowcount)


async def find_role(connection: AsyncConnection, person_id: str, workspace_id: str) -> str | None:
    """The person's role on a live workspace."""
    query = select(members.c.role).join(workspaces, workspaces.c.id == members.c.workspace_id)
    query = query.where(
        members.c.workspace_id == workspace_id,
        members.c.person_id == person_id,
        workspaces.c.deleted_at.is_(None),
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def list_members(connection: AsyncConnection, workspace_id: str) -> list[RowMapping]:
    """Members with their names, and who let them in."""
    giver = people.alias("giver")
    query = (
        select(
            members,
            people.c.id,
            people.c.name,
            people.c.display_name,
            people.c.disabled_at,
            giver.c.name.label("giver_name"),
            giver.c.display_name.label("giver_display_name"),
        )
        .join(people, people.c.id == members.c.person_id)
        .join(giver, giver.c.id == members.c.given_by, isouter=True)
    )
    query = query.where(members.c.workspace_id == workspace_id).order_by(people.c.name)
    return list((await connection.execute(query)).mappings())


async def list_addresses(connection: AsyncConnection, workspace_id: str) -> list[RowMapping]:
    """E-mail addresses and roles of the members who have an address."""
    query = select(people.c.email, members.c.role).join(people, people.c.id == members.c.person_id)
    query = query.where(members.c.workspace_id == workspace_id, people.c.email.is_not(None)).order_by(people.c.name)
    return list((await connection.execute(query)).mappings())


async def set_member(
    connection: AsyncConnection,
    workspace_id: str,
    person_id: str,
    role: Role,
    at: datetime,
    *,
    through: Through,
    given_by: str | None = None,
) -> None:
    """Give or change a role. `through` and `given_by` are of the first time."""
    which = (members.c.workspace_id == workspace_id) & (members.c.person_id == person_id)
    changed = await connection.execute(update(members).where(which).values(role=role.value))
    if not changed.rowcount:
        new = {"since": at, "through": through, "given_by": given_by}
        values = {"workspace_id": workspace_id, "person_id": person_id, "role": role.value, **new}
        await connection.execute(insert(members).values(**values))


async def remove_member(connection: AsyncConnection, workspace_id: str, person_id: str) -> bool:
    """Take access away; False if there was none."""
    which = (members.c.workspace_id == workspace_id) & (members.c.person_id == person_id)
    return bool((await connection.execute(delete(members).where(which))).rowcount)


async def count_owners(connection: AsyncConnection, workspace_id: str) -> int:
    """Number of owners, for the rule that one remains."""
    query = select(func.count()).where(members.c.workspace_id == workspace_id, members.c.role == Role.OWNER.value)
    return int((await connection.execute(query)).scalar_one())


async def find_config(connection: AsyncConnection, workspace_id: str) -> dict[str, Any] | None:
    """What a workspace's people configured."""
    query = select(workspaces.c.config).where(workspaces.c.id == workspace_id)
    return (await connection.execute(query)).scalar_one_or_none()


async def find_environment(connection: AsyncConnection, workspace_id: str) -> tuple[str, str | None]:
    """State and message of a workspace's environment."""
    query = select(workspaces.c.environment_state, workspaces.c.environment_message)
    row = (await connection.execute(query.where(workspaces.c.id == workspace_id))).one()
    return row[0], row[1]


async def is_live(connection: AsyncConnection, workspace_id: str) -> bool:
    """Tell whether a workspace is there and in nobody's trash."""
    query = select(workspaces.c.id).where(workspaces.c.id == workspace_id, workspaces.c.deleted_at.is_(None))
    return (await connection.execute(query)).first() is not None


async def list_trash(connection: AsyncConnection) -> list[RowMapping]:
    """Deleted workspaces that are not erased yet, longest deleted first."""
    query = select(workspaces).where(_in_trash())
    return list((await connection.execute(query.order_by(workspaces.c.deleted_at).limit(500))).mappings())


async def list_trash_of(
    connection: AsyncConnection, person_id: str, *, only: str | None, after: tuple[str, str] | None, limit: int
) -> list[RowMapping]:
    """A page of the deleted workspaces of which a person is an owner, by name; `only`: of this id."""
    query = _trashed(person_id).order_by(workspaces.c.name, workspaces.c.id).limit(limit)
    if only is not None:
        query = query.where(workspaces.c.id == only)
    if after is not None:
        query = query.where(tuple_(workspaces.c.name, workspaces.c.id) > after)
    return list((await connection.execute(query)).mappings())


async def find_trashed(connection: AsyncConnection, person_id: str, workspace_id: str) -> RowMapping | None:
    """A deleted workspace of which the person is an owner."""
    query = _trashed(person_id).where(workspaces.c.id == workspace_id)
    return (await connection.execute(query)).mappings().first()


async def restore_workspace(connection: AsyncConnection, workspace_id: str, **values: Any) -> None:
    """Take a workspace out of the trash."""
    changed = values | {"deleted_at": None}
    await connection.execute(update(workspaces).where(workspaces.c.id == workspace_id, _in_trash()).values(**changed))


async def mark_erased(connection: AsyncConnection, workspace_id: str, at: datetime) -> bool:
    """Write that a deleted workspace is gone; False if it is not in the trash any more."""
    which = update(workspaces).where(workspaces.c.id == workspace_id, _in_trash())
    return bool((await connection.execute(which.values(erased_at=at))).rowcount)


async def list_erased(connection: AsyncConnection, ids: Sequence[str]) -> list[str]:
    """Those of some workspaces that were erased."""
    found: list[str] = []
    for start in range(0, len(ids), 500):
        query = select(workspaces.c.id).where(
            workspaces.c.id.in_(ids[start : start + 500]), workspaces.c.erased_at.is_not(None)
        )
        found += (await connection.execute(query)).scalars()
    return found


def _trashed(person_id: str) -> Any:
    owns = (_mine.c.workspace_id == workspaces.c.id) & (_mine.c.person_id == person_id)
    return (
        select(workspaces, _owner.c.name.label("owner_name"), _owner.c.display_name.label("owner_display_name"))
        .join(_owner, _owner.c.id == workspaces.c.owner_id)
        .join(_mine, owns & (_mine.c.role == Role.OWNER.value))
        .where(_in_trash())
    )


def _in_trash() -> Any:
    return workspaces.c.deleted_at.is_not(None) & workspaces.c.erased_at.is_(None)


async def is_name_taken(connection: AsyncConnection, owner_id: str, name: str) -> bool:
    """Tell whether a live workspace of this owner has the name."""
    which = (workspaces.c.owner_id == owner_id) & (workspaces.c.name == name) & workspaces.c.deleted_at.is_(None)
    return (await connection.execute(select(workspaces.c.id).where(which))).first() is not None
