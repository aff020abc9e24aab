"""All SQL of datasets."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import RowMapping, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.datasets.tables import dataset_people, dataset_workspaces, datasets
from studiolo.server.workspaces.tables import members, workspaces


async def list_datasets(
    connection: AsyncConnection, *, person_id: str | None, after: str | None, limit: int
) -> list[RowMapping]:
    """List datasets by name: all, or those that a person may read somewhere."""
    query = select(datasets).order_by(datasets.c.name).limit(limit)
    if after is not None:
        query = query.where(datasets.c.name > after)
    if person_id is not None:
        own = select(dataset_people.c.dataset_id).where(dataset_people.c.person_id == person_id)
        there = (
            select(dataset_workspaces.c.dataset_id)
            .join(members, members.c.workspace_id == dataset_workspaces.c.workspace_id)
            .where(members.c.person_id == person_id)
        )
        query = query.where(or_(datasets.c.everybody, datasets.c.id.in_(own), datasets.c.id.in_(there)))
    return list((await connection.execute(query)).mappings())


async def find_dataset(connection: AsyncConnection, reference: str) -> RowMapping | None:
    """Find a dataset by name or id."""
    query = select(datasets).where(or_(datasets.c.name == reference, datasets.c.id == reference))
    return (await connection.execute(query)).mappings().first()


async def list_people(connection: AsyncConnection, ids: Iterable[str]) -> list[RowMapping]:
    """People who may read these datasets, by name."""
    query = (
        select(dataset_people.c.dataset_id, people.c.id, people.c.name, people.c.display_name)
        .join(people, people.c.id == dataset_people.c.person_id)
        .where(dataset_people.c.dataset_id.in_(list(ids)))
        .order_by(people.c.name)
    )
    return list((await connection.execute(query)).mappings())


async def list_workspaces(connection: AsyncConnection, ids: Iterable[str]) -> list[RowMapping]:
    """Live workspaces whose sessions may read these datasets, by name."""
    query = (
        select(
            dataset_workspaces.c.dataset_id,
            workspaces.c.id,
            workspaces.c.name,
            people.c.name.label("owner"),
        )
        .join(workspaces, workspaces.c.id == dataset_workspaces.c.workspace_id)
        .join(people, people.c.id == workspaces.c.owner_id)
        .where(dataset_workspaces.c.dataset_id.in_(list(ids)), workspaces.c.deleted_at.is_(None))
        .order_by(workspaces.c.name)
    )
    return list((await connection.execute(query)).mappings())


async def insert_dataset(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add a dataset."""
    await connection.execute(insert(datasets).values(**values))


async def update_dataset(connection: AsyncConnection, dataset_id: str, values: Mapping[str, Any]) -> None:
    """Change a dataset."""
    await connection.execute(update(datasets).where(datasets.c.id == dataset_id).values(**values))


async def delete_dataset(connection: AsyncConnection, dataset_id: str) -> None:
    """Remove a dataset with its readers."""
    await connection.execute(delete(datasets).where(datasets.c.id == dataset_id))


async def set_people(connection: AsyncConnection, dataset_id: str, ids: Iterable[str]) -> None:
    """Replace the people who may read a dataset."""
    await connection.execute(delete(dataset_people).where(dataset_people.c.dataset_id == dataset_id))
    for person_id in dict.fromkeys(ids):
        await connection.execute(insert(dataset_people).values(dataset_id=dataset_id, person_id=person_id))


async def set_workspaces(connection: AsyncConnection, dataset_id: str, ids: Iterable[str]) -> None:
    """Replace the workspaces whose sessions may read a dataset."""
    await connection.execute(delete(dataset_workspaces).where(dataset_workspaces.c.dataset_id == dataset_id))
    for workspace_id in dict.fromkeys(ids):
        await connection.execute(insert(dataset_workspaces).values(dataset_id=dataset_id, workspace_id=workspace_id))
