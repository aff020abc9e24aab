"""Reports of scans, and what of them was accepted."""

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

# `worst`: the highest severity found, empty for none. `report`: JSON, see contract/scans.py.
scans = Table(
    "scans",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("cause", String(32), nullable=False),
    Column("worst", String(16), nullable=False),
    Column("report", Text, nullable=False),
    Column("made_by", ForeignKey("people.id", ondelete="SET NULL")),
    Column("at", UTCTime, nullable=False),
    Index("ix_scans_workspace_id_at", "workspace_id", "at"),
)

# Findings that were looked at and accepted, by their stable id.
scan_baseline = Table(
    "scan_baseline",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("finding_id", String(64), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("made_by", ForeignKey("people.id", ondelete="SET NULL")),
    Column("made_at", UTCTime, nullable=False),
)
