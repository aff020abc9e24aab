"""Sessions: what is wanted and what was last seen; and the codes and cookies by which browsers enter."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, text

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("person_id", ForeignKey("people.id"), nullable=False),
    Column("name", String(63), nullable=False),
    # `session`, or `kernels`: a place for kernels alone (decision 013), not listed among sessions.
    Column("kind", String(16), nullable=False, server_default="session"),
    Column("engine", String(32), nullable=False),
    Column("password_hash", String(255)),
    # What is wanted: written by people.
    Column("desired", String(16), nullable=False),
    Column("launch", Integer, nullable=False),
    Column("requested_at", UTCTime, nullable=False),
    # Why it should stop: {"code", "by"}.
    Column("stop_reason", JSON(none_as_null=True)),
    # What was seen: written by the reconciler, and only for the launch it looked at.
    Column("state", String(16), nullable=False),
    Column("handle", JSON(none_as_null=True)),
    Column("handle_launch", Integer),
    # The engine that the handle belongs to; null: `engine`, which is where it is wanted.
    Column("handle_engine", String(32)),
    Column("upstream", Text),
    # What the engine says of a start: {"message", "waiting", "expected_start", "at"}.
    Column("progress", JSON(none_as_null=True)),
    Column("started_at", UTCTime),
    # When it had its place, after it waited for one.
    Column("placed_at", UTCTime),
    Column("ready_at", UTCTime),
    # When a time limit ends it.
    Column("ends_at", UTCTime),
    Column("ended_at", UTCTime),
    Column("reason", JSON(none_as_null=True)),
    Column("activity", JSON(none_as_null=True)),
    # What this launch may use: {"profile", "resources"}; asked for with the launch: the same, and {"engine"}.
    Column("allowed", JSON(none_as_null=True)),
    Column("asked", JSON(none_as_null=True)),
    # As last measured, and what ran out of memory in this launch (contract.resources), newest first.
    Column("usage", JSON(none_as_null=True)),
    Column("deaths", JSON(none_as_null=True)),
    # Idle stop: since when nothing happens, when it will stop, and until when somebody wants it kept.
    Column("idle_since", UTCTime),
    Column("idle_stop_at", UTCTime),
    Column("snoozed_until", UTCTime),
    Column("created_at", UTCTime, nullable=False),
    Column("deleted_at", UTCTime),
    # Fencing: a writer that lost its lease meanwhile matches no row.
    Column("lease_owner", String(32)),
    Column("lease_epoch", Integer, nullable=False, server_default="0"),
    Index(
        "uq_sessions_workspace_id_name_live",
        "workspace_id",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index("ix_sessions_person_id_state", "person_id", "state"),
    Index("ix_sessions_state_desired", "state", "desired"),
)

entry_codes = Table(
    "entry_codes",
    metadata,
    Column("code_hash", String(64), primary_key=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("login_id", ForeignKey("logins.id", ondelete="CASCADE"), nullable=False),
    Column("bind", String(64), nullable=False),
    Column("shared_origin", Boolean, nullable=False),
    Column("expires_at", UTCTime, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("login_id", ForeignKey("logins.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("shared_origin", Boolean, nullable=False),
    Column("created_at", UTCTime, nullable=False),
)

# A sample a minute for each running session, kept for an hour.
session_usage = Table(
    "session_usage",
    metadata,
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("at", UTCTime, primary_key=True),
    Column("cpu", Float),
    Column("memory", BigInteger),
    Column("processes", Integer),
    Index("ix_session_usage_at", "at"),
)

# What a workspace's sessions used in an hour, or in a day once the hour is a week old.
usage_history = Table(
    "usage_history",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    # Seconds: 3,600 or 86,400.
    Column("span", Integer, primary_key=True),
    Column("at", UTCTime, primary_key=True),
    Column("session_seconds", Float, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    Column("memory_peak", BigInteger, nullable=False),
    # Bytes of its files, where they had changed when somebody looked.
    Column("disk", BigInteger),
    Index("ix_usage_history_span_at", "span", "at"),
)

# What each launch used in all, written when it ends: the workspace's usage history.
launches = Table(
    "launches",
    metadata,
    Column("session_id", String(18), primary_key=True),
    Column("launch", Integer, primary_key=True),
    Column("workspace_id", String(18), nullable=False),
    Column("person_id", String(18), nullable=False),
    Column("started_at", UTCTime, nullable=False),
    Column("ended_at", UTCTime, nullable=False),
    Column("cpu_seconds", Float),
    Column("memory_peak", BigInteger),
    Column("reason", String(40)),
    Index("ix_launches_workspace_id_ended_at", "workspace_id", "ended_at"),
    Index("ix_launches_person_id_ended_at", "person_id", "ended_at"),
)

# Notebooks as they were last run.
executions = Table(
    "executions",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("path", String(1024), primary_key=True),
    Column("at", UTCTime, nullable=False),
    Column("session_id", String(18)),
)
