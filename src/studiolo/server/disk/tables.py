"""How large workspaces' files were when they were last measured."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

workspace_sizes = Table(
    "workspace_sizes",
    metadata,
    Column("workspace_id", String(18), ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    # Bytes on disk; null: looking took too long.
    Column("size", BigInteger),
    Column("measured_at", UTCTime, nullable=False),
    Index("ix_workspace_sizes_size", "size"),
    Index("ix_workspace_sizes_measured_at", "measured_at"),
)
