"""The audit table. Its sequence gives the order; times are for people."""

from sqlalchemy import JSON, Column, Integer, String, Table

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

audit_events = Table(
    "audit_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("at", UTCTime, nullable=False),
    # No foreign keys: the record outlives what it speaks of.
    Column("actor_id", String(18)),
    Column("actor_name", String(63)),
    Column("via", String(16), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(200), nullable=False),
    Column("workspace_id", String(18), index=True),
    Column("detail", JSON, nullable=False),
    sqlite_autoincrement=True,
)
