"""All pages, as one ordered list of routers."""

from fastapi import FastAPI

from studiolo.server.web import (
    account,
    admin,
    find,
    go,
    home,
    sessions,
    sign_in,
    workspace,
    workspace_people,
    workspace_settings,
    workspaces,
)
from studiolo.server.web.problems import problem_page
from studiolo.server.web.render import STATIC_FOLDER, KeptFiles, environment, static_path

_ROUTERS = (
    sign_in.router,
    home.router,
    workspaces.router,
    workspace.router,
    workspace_people.router,
    workspace_settings.router,
    sessions.router,
    go.router,
    find.router,
    account.router,
    admin.router,
)


def install(api: FastAPI) -> None:
    """Add the pages and their static files to the application."""
    for router in _ROUTERS:
        api.include_router(router)
    api.state.templates = environment(api.state.services.clock)
    api.state.problem_page = problem_page
    api.mount(static_path(), KeptFiles(directory=STATIC_FOLDER), name="static")
