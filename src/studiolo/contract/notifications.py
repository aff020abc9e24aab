"""Wire models of notifications."""

from datetime import datetime

from pydantic import Field

from studiolo.contract.models import Request, Wire


class Notification(Wire):
    """Something that one person was told. Kept for 90 days."""

    id: str
    kind: str = Field(description="What it is about, for example `request.approved`; stable.")
    text: str
    link: str = Field(description="Where to look: a path below the platform's address.")
    at: datetime
    read_at: datetime | None = Field(description="When the person saw it; None: not yet.")


class ReadNotifications(Request):
    """Mark notifications as seen."""

    ids: list[str] | None = Field(None, max_length=500, description="Those to mark; None: all.")
