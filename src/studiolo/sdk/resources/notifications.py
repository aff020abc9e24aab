"""What one was told."""

from collections.abc import Sequence

from studiolo.contract.models import Page
from studiolo.contract.notifications import Notification, ReadNotifications
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport

_PATH = "/notifications"


class Notifications:
    """See what you were told, and mark it as seen."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, unread: bool = False, page_size: int | None = None) -> Listing[Notification]:
        """Return what you were told, newest first; `unread`: only what you have not seen."""

        async def fetch(cursor: str | None) -> Page[Notification]:
            asked = {"unread": unread or None, "limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[Notification], "GET", _PATH, query=asked)

        return Listing(fetch)

    async def read(self, ids: Sequence[str] | None = None) -> None:
        """Mark notifications as seen, those of `ids` or all; repeatable."""
        body = fill(ReadNotifications, ids=None if ids is None else list(ids))
        await self._transport.send("POST", f"{_PATH}/read", body=body)
