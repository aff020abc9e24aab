"""What people were told."""

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

notifications = Table(
    "notifications",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("link", String(500), nullable=False),
    Column("at", UTCTime, nullable=False),
    Column("read_at", UTCTime),
    Index("ix_notifications_person_id_at", "person_id", "at"),
)
