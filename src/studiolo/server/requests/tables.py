"""Wishes for packages that need approval, and who has them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from studiolo.kit.db import UTCTime
from studiolo.server.metadata import metadata

# `state`, `install_state`: see contract/requests.py, as are `judged` (Ruling) and `closure` (Closure), JSON.
# `name` in its ecosystem's canonical form. `installed_build`: a number of environment_builds.
package_requests = Table(
    "package_requests",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("ecosystem", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("specifier", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("judged", Text, nullable=False),
    Column("closure", Text, nullable=False),
    Column("asked_at", UTCTime, nullable=False),
    Column("decided_by", ForeignKey("people.id", ondelete="SET NULL")),
    Column("decided_at", UTCTime),
    Column("reason", Text),
    Column("scope", String(16)),
    Column("until", UTCTime),
    Column("install_state", String(16)),
    Column("installed_build", Integer),
    Column("install_message", Text),
    Index("ix_package_requests_workspace_id", "workspace_id"),
    Index("ix_package_requests_state_asked_at", "state", "asked_at"),
)

package_request_people = Table(
    "package_request_people",
    metadata,
    Column("request_id", ForeignKey("package_requests.id", ondelete="CASCADE"), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("specifier", String(200), nullable=False),
    Column("asked_at", UTCTime, nullable=False),
    Index("ix_package_request_people_person_id", "person_id"),
)
