"""What was shared in workspaces."""

from sqlalchemy import Column, ForeignKey, Index, String, Table, UniqueConstraint

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

shares = Table(
    "shares",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    # Relative to the workspace's folder.
    Column("path", String(1024), nullable=False),
    Column("shared_by", ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("at", UTCTime, nullable=False),
    UniqueConstraint("workspace_id", "path"),
    Index("ix_shares_workspace_id_at", "workspace_id", "at"),
)
