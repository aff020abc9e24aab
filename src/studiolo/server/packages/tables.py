"""Policies, what was granted beside them, and what the index delivered."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

# What people wrote. `scope`: `platform`, or a workspace's id. An administrator's stands until another
# administrator's; that of a workspace's people stands beside it, and may not widen what is above it.
policy_revisions = Table(
    "policy_revisions",
    metadata,
    Column("scope", String(18), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("note", String(500), nullable=False),
    Column("by_administrator", Boolean, nullable=False),
    Column("may_widen", Boolean, nullable=False),
    Column("made_by", ForeignKey("people.id", ondelete="SET NULL")),
    Column("made_at", UTCTime, nullable=False),
)

# What follows from it for a workspace, with the platform's part, the variables and the grants; never changed.
effective_policies = Table(
    "effective_policies",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("document", Text, nullable=False),
    Column("made_at", UTCTime, nullable=False),
    Index("ix_effective_policies_hash", "hash"),
)

# Approvals (`kind` approval) and exceptions (`kind` exception: `--force`). `workspace_id` NULL: everywhere.
package_grants = Table(
    "package_grants",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE")),
    Column("ecosystem", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("specifier", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", String(18)),
    Column("made_by", ForeignKey("people.id", ondelete="SET NULL")),
    Column("made_at", UTCTime, nullable=False),
    Column("until", UTCTime),
    Column("revoked_at", UTCTime),
    Index("ix_package_grants_workspace_id", "workspace_id"),
)

# The ledger: one row a file that the index handed out. `fingerprint`: of the wheel's RECORD, see packages/installed.
package_deliveries = Table(
    "package_deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("session_id", String(18)),
    Column("person_id", ForeignKey("people.id", ondelete="SET NULL")),
    Column("ecosystem", String(16), nullable=False),
    Column("channel", String(200), nullable=False),
    Column("name", String(200), nullable=False),
    Column("version", String(100), nullable=False),
    Column("file", String(400), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("fingerprint", String(64)),
    Column("policy_hash", String(64), nullable=False),
    Column("cause", String(16), nullable=False),
    Column("at", UTCTime, nullable=False),
    Index("ix_package_deliveries_workspace_id_fingerprint", "workspace_id", "fingerprint"),
    Index("ix_package_deliveries_workspace_id_name", "workspace_id", "name"),
    Index("ix_package_deliveries_workspace_id_at", "workspace_id", "at"),
)
