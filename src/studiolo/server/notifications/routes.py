"""REST of what one was told."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from studiolo.contract.models import Page
from studiolo.contract.notifications import Notification, ReadNotifications
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.notifications.service import Notifications
from studiolo.server.principal import Principal

router = APIRouter(prefix="/notifications", tags=["notifications"])
_Notifications = Annotated[Notifications, Depends(service("notifications"))]


@router.get("")
async def list_notifications(
    who: Annotated[Principal, Depends(Allow("notification.list"))],
    notifications: _Notifications,
    unread: Annotated[bool, Query(description="Only those that you have not seen.")] = False,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[Notification]:
    """What you were told, newest first; `total` counts what you have not seen."""
    return await notifications.list_(who, unread=unread, cursor=cursor, limit=limit)


@router.post("/read", status_code=204)
async def read_notifications(
    form: ReadNotifications,
    who: Annotated[Principal, Depends(Allow("notification.read"))],
    notifications: _Notifications,
) -> Response:
    """Mark notifications as seen: those named, or all."""
    await notifications.read(who, form.ids)
    return Response(status_code=204)
