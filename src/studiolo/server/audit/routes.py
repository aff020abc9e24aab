"""REST of the audit record."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from studiolo.contract.models import AuditEvent, Page
from studiolo.server.audit.service import Audit
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(tags=["audit"])


@router.get("/audit")
async def list_events(
    who: Annotated[Principal, Depends(Allow("audit.list"))],
    audit: Annotated[Audit, Depends(service("audit"))],
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[AuditEvent]:
    """Every change, newest first (administrators)."""
    return await audit.list_(who, cursor=cursor, limit=limit)
