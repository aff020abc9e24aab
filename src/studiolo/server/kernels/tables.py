"""Kernels: who started which one where, and what its host last said of it."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, Table

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

kernels = Table(
    "kernels",
    metadata,
    # A UUID, the same as in Jupyter's own API.
    Column("id", String(36), primary_key=True),
    # A session's launch (`s-….3`), with which it ends, or a workspace.
    Column("scope", String(40), nullable=False),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("session_id", String(18)),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("spec", String(200), nullable=False),
    Column("display_name", String(200), nullable=False),
    Column("path", String(1024)),
    # Jupyter's execution states, and `ended`.
    Column("state", String(16), nullable=False),
    # Why it should stop: {"code", "by"}; null while it is wanted.
    Column("stop_reason", JSON(none_as_null=True)),
    # As of sessions: {"profile", "resources"}.
    Column("allowed", JSON(none_as_null=True)),
    Column("environment", String(80)),
    Column("connections", Integer, nullable=False, server_default="0"),
    # Number of the last message in its journal.
    Column("output", BigInteger, nullable=False, server_default="0"),
    Column("created_at", UTCTime, nullable=False),
    Column("started_at", UTCTime),
    Column("last_active_at", UTCTime),
    Column("ended_at", UTCTime),
    Column("reason", JSON(none_as_null=True)),
    Index("ix_kernels_workspace_id_created_at", "workspace_id", "created_at"),
    Index("ix_kernels_person_id_state", "person_id", "state"),
    Index("ix_kernels_session_id", "session_id"),
    Index("ix_kernels_state", "state"),
)
