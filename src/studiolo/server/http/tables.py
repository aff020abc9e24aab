"""Requests that were sent with an Idempotency-Key, and how they were answered."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

idempotent_requests = Table(
    "idempotent_requests",
    metadata,
    Column("person_id", String(18), primary_key=True),
    Column("key_hash", String(64), primary_key=True),
    # Of method, address and body: another request under the same key is refused.
    Column("request_hash", String(64), nullable=False),
    Column("created_at", UTCTime, nullable=False),
    # Null while the request is being worked on.
    Column("status", Integer),
    Column("content_type", String(100)),
    Column("body", LargeBinary),
    Index("ix_idempotent_requests_created_at", "created_at"),
)
