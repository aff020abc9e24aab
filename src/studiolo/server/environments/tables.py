"""Bases that environments begin from, and the builds of each workspace's environment."""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table, Text

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

# The administrator's catalogue; the platform's own default is no row.
environment_bases = Table(
    "environment_bases",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("description", Text, nullable=False),
    Column("python", String(20), nullable=False),
    Column("lock", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("made_by", ForeignKey("people.id", ondelete="SET NULL")),
    Column("made_at", UTCTime, nullable=False),
)

# `state`: building, ready, failed, cancelled. `changes`: JSON, see contract/environments.py. The live one is the ready
# one with the highest number. `wish`: JSON, see wishes.py. `code`: of the error that ended it; `violations`: JSON.
# `seen`: the state of the environment's folders that the live one is of, see recording.py.
environment_builds = Table(
    "environment_builds",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("base", String(63), nullable=False),
    Column("hash", String(64)),
    Column("lock", Text),
    Column("changes", Text, nullable=False),
    Column("cause", String(32), nullable=False),
    Column("wish", Text, nullable=False),
    Column("code", String(64)),
    Column("message", Text),
    Column("violations", Text),
    Column("made_by", ForeignKey("people.id", ondelete="SET NULL")),
    Column("session_id", String(18)),
    Column("policy_hash", String(64)),
    Column("made_at", UTCTime, nullable=False),
    Column("ended_at", UTCTime),
    Column("seen", Text),
)
