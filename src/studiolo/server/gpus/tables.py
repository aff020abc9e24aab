"""Leases of GPUs, and who waits for some."""

from sqlalchemy import Column, ForeignKey, Integer, String, Table

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

# A lease counts while its holder lives (see Leases.living): whatever ends a session or kernel frees what it had.
gpu_leases = Table(
    "gpu_leases",
    metadata,
    # No two hold the same.
    Column("engine", String(32), primary_key=True),
    Column("gpu", String(100), primary_key=True),
    # A session or a kernel.
    Column("holder", String(36), nullable=False, index=True),
    # Of a session; 0 for kernels.
    Column("launch", Integer, nullable=False),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("since", UTCTime, nullable=False),
)

gpu_waits = Table(
    "gpu_waits",
    metadata,
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Column("engine", String(32), nullable=False),
    Column("count", Integer, nullable=False),
    Column("type", String(100)),
    Column("since", UTCTime, nullable=False),
    Column("told_at", UTCTime),
)
