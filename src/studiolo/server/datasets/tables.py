"""Datasets and who may read them."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text, UniqueConstraint

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("description", Text, nullable=False),
    Column("folder", String(4096), nullable=False),
    # Its own column: when the last reader goes, nobody reads it, not everybody.
    Column("everybody", Boolean, nullable=False),
    Column("created_at", UTCTime, nullable=False),
    Column("modified_at", UTCTime, nullable=False),
    UniqueConstraint("name"),
)

dataset_people = Table(
    "dataset_people",
    metadata,
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_dataset_people_person_id", "person_id"),
)

dataset_workspaces = Table(
    "dataset_workspaces",
    metadata,
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_dataset_workspaces_workspace_id", "workspace_id"),
)
