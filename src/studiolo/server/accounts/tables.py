"""People, logins, keys, invitations, links, banners. Nothing here authenticates: secrets stand as keyed hashes."""

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Integer, String, Table

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

people = Table(
    "people",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("display_name", String(200), nullable=False),
    # Compared case-insensitively: kept in lower case.
    Column("email", String(254), unique=True),
    Column("is_admin", Boolean, nullable=False),
    Column("password_hash", String(255)),
    Column("created_at", UTCTime, nullable=False),
    Column("last_seen_at", UTCTime),
    # Suspended since; who was erased is suspended for good.
    Column("disabled_at", UTCTime),
    # Nothing personal is left in this row; it stays for what refers to it.
    Column("erased_at", UTCTime),
    Column("failed_sign_ins", Integer, nullable=False, server_default="0"),
    Column("locked_until", UTCTime),
)

logins = Table(
    "logins",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", UTCTime, nullable=False),
    Column("last_seen_at", UTCTime, nullable=False),
    Column("expires_at", UTCTime, nullable=False),
    Column("user_agent", String(256), nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("prefix", String(12), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UTCTime, nullable=False),
    Column("expires_at", UTCTime, nullable=False),
    Column("last_used_at", UTCTime),
    # A key of a session: narrowed to its workspace, and dead with the launch.
    Column("session_id", String(18), index=True),
    Column("workspace_id", String(18)),
    # A key of a headless kernel: as a session's.
    Column("kernel_id", String(36), index=True),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UTCTime, nullable=False),
    Column("expires_at", UTCTime, nullable=False),
)

# Sign-ins begun on machines without a browser (RFC 8628): approved by somebody signed in elsewhere.
device_codes = Table(
    "device_codes",
    metadata,
    Column("device_hash", String(64), primary_key=True),
    Column("user_code", String(16), nullable=False, unique=True),
    Column("key_name", String(100), nullable=False),
    Column("asked_from", String(256), nullable=False),
    Column("expires_at", UTCTime, nullable=False),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE")),
    Column("refused_at", UTCTime),
)

# Whoever opens the link chooses a name: there is no person before that.
invitations = Table(
    "invitations",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("name", String(63)),
    Column("email", String(254)),
    Column("is_admin", Boolean, nullable=False),
    # Memberships that come with it, as [{workspace_id, role}].
    Column("grants", JSON, nullable=False),
    Column("invited_by", ForeignKey("people.id", ondelete="CASCADE"), index=True),
    Column("created_at", UTCTime, nullable=False),
    Column("expires_at", UTCTime, nullable=False),
    Column("mailed_at", UTCTime),
)

banners = Table(
    "banners",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("text", String(500), nullable=False),
    Column("level", String(16), nullable=False),
    Column("posted_by", ForeignKey("people.id", ondelete="SET NULL")),
    Column("posted_at", UTCTime, nullable=False),
    Column("until", UTCTime),
)
