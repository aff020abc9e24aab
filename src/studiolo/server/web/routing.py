"""What page modules share in their routes."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request

from studiolo.contract.errors import HTTP_STATUS, StudioloError
from studiolo.server.services import Services
from studiolo.server.web.problems import PageRoute

PAGE_SIZE = 50


def pages_router() -> APIRouter:
    """Return a router whose errors are pages."""
    return APIRouter(include_in_schema=False, route_class=PageRoute)


def find_services(request: Request) -> Services:
    """Return what the composition root built."""
    services: Services = request.app.state.services
    return services


def status_of(problem: StudioloError | None) -> int:
    """Return the HTTP status of a page that shows `problem` beside a form."""
    return HTTP_STATUS[problem.kind] if problem else 200


def pager(
    address: str, next_cursor: str | None, cursor: str | None, query: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the addresses of a list's next and first page, and of this one (`here`)."""
    query = query or {}

    def at(**more: str) -> str:
        return address + (f"?{urlencode(query | more)}" if query or more else "")

    return {
        "next_url": at(cursor=next_cursor) if next_cursor else None,
        "first_url": at() if cursor else None,
        "here": at(cursor=cursor) if cursor else at(),
    }


ServicesOf = Annotated[Services, Depends(find_services)]
Cursor = Annotated[str | None, Query(max_length=500)]
