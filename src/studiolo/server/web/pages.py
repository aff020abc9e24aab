"""All pages, as one ordered list of routers."""

from fastapi import FastAPI

from studiolo.server.web import go


def install(api: FastAPI) -> None:
    """Add the pages and their static files to the application."""
    api.include_router(go.router)
