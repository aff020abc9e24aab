"""Workspaces and their members."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, text

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("owner_id", ForeignKey("people.id"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    # A folder of the machine, or null for the platform's own place.
    Column("root", String(4096)),
    Column("created_at", UTCTime, nullable=False),
    Column("modified_at", UTCTime, nullable=False),
    # contract.details.WorkspaceConfig as JSON; null: nothing was configured.
    Column("config", JSON(none_as_null=True)),
    Column("experiments", JSON(none_as_null=True)),
    # Counts changes: the ETag.
    Column("revision", Integer, nullable=False, server_default="1"),
    # In the trash since; its files are erased when the retention is over.
    Column("deleted_at", UTCTime),
    Column("erased_at", UTCTime),
    Column("environment_state", String(16), nullable=False),
    Column("environment_message", Text),
    # A name is free again once its workspace lies in the trash.
    Index(
        "uq_workspaces_owner_id_name_live",
        "owner_id",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index("ix_workspaces_name", "name"),
    Index("ix_workspaces_deleted_at", "deleted_at"),
    Index("ix_workspaces_environment_state", "environment_state"),
)

members = Table(
    "members",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("since", UTCTime, nullable=False),
    # How they came to it (see contract.models.Through), and by whom; no foreign key: it outlives the giver.
    Column("through", String(16)),
    Column("given_by", String(18)),
    Index("ix_members_person_id", "person_id"),
)

# Names and owners that a workspace had: old addresses lead to it until somebody else takes the name.
former_names = Table(
    "former_names",
    metadata,
    Column("owner_id", ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("since", UTCTime, nullable=False),
)

# The number that owns a workspace's files on this machine. A row outlives its workspace: no number is given twice.
workspace_accounts = Table(
    "workspace_accounts",
    metadata,
    Column("account", Integer, primary_key=True, autoincrement=False),
    Column("workspace_id", String(18), nullable=False, unique=True),
)

# The last move of each workspace between engines.
moves = Table(
    "moves",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("came", String(32), nullable=False),
    Column("goes", String(32), nullable=False),
    # Whose files they are where an engine keeps them by person: a name, for the way back.
    Column("person", String(64), nullable=False),
    Column("asked_by", String(64), nullable=False),
    # See contract.moves.MoveState.
    Column("state", String(16), nullable=False),
    Column("files_total", Integer),
    Column("files_done", Integer, nullable=False, server_default="0"),
    Column("bytes_total", BigInteger),
    Column("bytes_done", BigInteger, nullable=False, server_default="0"),
    # Why it failed, or what it waits for.
    Column("code", String(64)),
    Column("message", Text),
    Column("began_at", UTCTime, nullable=False),
    Column("ended_at", UTCTime),
    Index("ix_moves_state", "state"),
)
