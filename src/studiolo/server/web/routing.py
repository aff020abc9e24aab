"""What page modules share in their routes."""

from typing import Annotated

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


ServicesOf = Annotated[Services, Depends(find_services)]
Cursor = Annotated[str | None, Query(max_length=500)]
