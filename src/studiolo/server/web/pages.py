"""All pages, as one ordered list of routers."""

from fastapi import FastAPI

from studiolo.server.services import Services
from studiolo.server.web import (
    account,
    address,
    admin,
    admin_backups,
    admin_banner,
    admin_people,
    admin_person,
    admin_sessions,
    archives,
    away,
    bases,
    clones,
    datasets,
    device,
    disk,
    engines,
    environment,
    files,
    find,
    go,
    history,
    home,
    hub_sign_in,
    join,
    kernels,
    kernelspecs,
    launch,
    moves,
    notifications,
    policy,
    requests,
    scans,
    sessions,
    sign_in,
    used,
    workspace,
    workspace_fate,
    workspace_people,
    workspace_settings,
    workspaces,
)
from studiolo.server.web.problems import problem_page
from studiolo.server.web.render import environment as templates
from studiolo.server.web.static_files import StaticFiles, static_path

ROUTERS = (
    sign_in.router,
    hub_sign_in.router,
    join.router,
    device.router,
    home.router,
    # Before the permanent addresses: a folder may be called lab.
    files.router,
    address.router,
    archives.router,
    clones.router,
    moves.router,
    datasets.router,
    bases.router,
    engines.router,
    workspaces.router,
    workspace.router,
    history.router,
    away.router,
    launch.router,
    workspace_people.router,
    used.router,
    environment.router,
    scans.router,
    workspace_settings.router,
    workspace_fate.router,
    sessions.router,
    kernels.router,
    kernelspecs.router,
    go.router,
    find.router,
    account.router,
    notifications.router,
    policy.router,
    requests.router,
    admin_sessions.router,
    admin_people.router,
    admin_person.router,
    admin_banner.router,
    admin_backups.router,
    disk.router,
    admin.router,
)


def add_routes(api: FastAPI) -> None:
    """Add the pages and their static files to the application."""
    for router in ROUTERS:
        api.include_router(router)
    api.mount(static_path(), StaticFiles(), name="static")


def install(api: FastAPI) -> None:
    """Give the application what its pages need."""
    services: Services = api.state.services
    api.state.templates = templates(services.clock, services.settings.sessions.idle_warning)
    api.state.problem_page = problem_page
