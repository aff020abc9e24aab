"""The composition root's second half: ordered lists of routes, layers and background work, nothing else."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator

from fastapi import APIRouter, FastAPI, Response
from starlette.routing import BaseRoute

from studiolo import __version__
from studiolo.kit.reconcile import running
from studiolo.server import live_routes, people_routes, platform_routes
from studiolo.server.accounts import routes as account_routes
from studiolo.server.audit import routes as audit_routes
from studiolo.server.backup import routes as backup_routes
from studiolo.server.datasets import routes as dataset_routes
from studiolo.server.disk import routes as disk_routes
from studiolo.server.door import PATH as DOOR_PATH
from studiolo.server.door import Door
from studiolo.server.environments import base_routes
from studiolo.server.environments import routes as environment_routes
from studiolo.server.environments.images import routes as image_routes
from studiolo.server.files import internal as file_questions
from studiolo.server.files import routes as file_routes
from studiolo.server.files import search_routes as file_search_routes
from studiolo.server.files import versions_routes as version_routes
from studiolo.server.gpus import routes as gpu_routes
from studiolo.server.http import description, problems
from studiolo.server.http.answers import KnownAnswers
from studiolo.server.http.edge import ASGIApp, Edge, Receive, Scope, Send
from studiolo.server.http.idempotency import Idempotency
from studiolo.server.http.identity import check_operations
from studiolo.server.kernels import inside_routes
from studiolo.server.kernels import internal as kernel_questions
from studiolo.server.kernels import routes as kernel_routes
from studiolo.server.moves import routes as move_routes
from studiolo.server.notifications import routes as notification_routes
from studiolo.server.packages import internal as index_questions
from studiolo.server.packages import routes as policy_routes
from studiolo.server.requests import routes as request_routes
from studiolo.server.scans import routes as scan_routes
from studiolo.server.services import Services
from studiolo.server.sessions import routes as session_routes
from studiolo.server.sharing import routes as share_routes
from studiolo.server.shortcuts import Shortcuts
from studiolo.server.web import pages
from studiolo.server.workspaces import archive_routes, clone_routes, dealing_routes
from studiolo.server.workspaces import routes as workspace_routes

# Where another process of the platform says that it changed what is wanted.
LOOK_PATH = "/_look"
_SEEN_EVERY_SECONDS = 30.0
# The seeds' and a peer's names for the collection of sessions.
_SESSION_PATHS = ("/jupyter/sessions", "/jupyter/services", "/notebook")


def create_app(services: Services) -> ASGIApp:
    """Return the control plane as an ASGI application."""
    api = FastAPI(
        title="Studiolo",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        routes=list(_routes()),
        lifespan=lambda _: _background(services),
    )
    api.state.services = services
    api.state.identity = services.identity
    pages.install(api)
    problems.install(api)
    description.install(api)
    shortcuts = Shortcuts(services.settings.shortcuts)
    shortcuts.prepare()
    door = Door(
        services.db,
        services.authentication,
        services.access,
        services.sessions,
        services.engines,
        services.entry,
        services.changes,
        services.session_secrets,
        services.hosts,
        services.cookies,
        shortcuts,
        services.kernel_door,
        services.file_door,
        services.index_door,
        services.metrics.meters,
    )
    repeatable = Idempotency(api, services.db, services.clock, services.identity)
    answers = KnownAnswers(repeatable, services.db, services.identity)
    edge = Edge(answers, services.hosts, services.metrics.meters.requests)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        # Only the front door and the operator can send the header: it is stripped from clients' requests.
        if scope["type"] != "http" or not scope["path"].startswith("/_") or not _is_internal(scope):
            await edge(scope, receive, send)
        elif scope["path"] == DOOR_PATH:
            await door(scope, receive, send)
        elif scope["path"].startswith(kernel_questions.PREFIX):
            await services.kernel_questions(scope, receive, send)
        elif scope["path"].startswith(file_questions.PREFIX):
            await services.file_questions(scope, receive, send)
        elif scope["path"].startswith(index_questions.PREFIX):
            await services.index_questions(scope, receive, send)
        elif scope["path"] == LOOK_PATH:
            # Rights may be among what another process changed.
            services.authentication.forget()
            services.access.forget()
            services.session_reconciler.runner.look()
            await Response(status_code=204)(scope, receive, send)

    return application


def _is_internal(scope: Scope) -> bool:
    return any(name == b"x-studiolo-question" for name, _ in scope["headers"])


@functools.cache
def _routes() -> tuple[BaseRoute, ...]:
    """All routes. They know of no services, and to work out what each needs takes longer than all else of an app."""
    drawn = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, responses=problems.RESPONSES)
    drawn.include_router(version_1(), prefix="/api/v1")
    drawn.include_router(live_routes.router)
    drawn.include_router(platform_routes.at_root)
    pages.add_routes(drawn)
    check_operations(drawn.routes)
    return tuple(drawn.routes)


def version_1() -> APIRouter:
    """Return all routes of the API, without what stands before their paths."""
    router = APIRouter()
    router.include_router(platform_routes.router)
    router.include_router(gpu_routes.router)
    router.include_router(disk_routes.router)
    router.include_router(account_routes.router)
    router.include_router(people_routes.router)
    router.include_router(notification_routes.router)
    router.include_router(request_routes.router)
    router.include_router(audit_routes.router)
    router.include_router(backup_routes.router)
    router.include_router(dataset_routes.router)
    router.include_router(workspace_routes.router)
    router.include_router(archive_routes.router)
    router.include_router(clone_routes.router)
    router.include_router(move_routes.router)
    router.include_router(dealing_routes.router)
    router.include_router(dealing_routes.trash_router)
    router.include_router(environment_routes.router)
    router.include_router(environment_routes.of_platform)
    router.include_router(image_routes.router)
    router.include_router(base_routes.router)
    router.include_router(policy_routes.router)
    router.include_router(share_routes.router)
    router.include_router(scan_routes.router)
    router.include_router(file_routes.router)
    router.include_router(file_search_routes.router)
    router.include_router(version_routes.router)
    router.include_router(session_routes.of_workspace)
    for path in _SESSION_PATHS:
        router.include_router(session_routes.collection, prefix=path, include_in_schema=path == _SESSION_PATHS[0])
    router.include_router(session_routes.reports)
    router.include_router(kernel_routes.collection)
    router.include_router(kernel_routes.of_workspace)
    router.include_router(inside_routes.of_session)
    return router


@contextlib.asynccontextmanager
async def _background(services: Services) -> AsyncIterator[None]:
    # Before anybody works in them.
    await services.owners.settle()
    tasks = [
        asyncio.create_task(services.environments.warm_up()),
        asyncio.create_task(services.engines.look_forever()),
        asyncio.create_task(services.session_reconciler.sweep_forever()),
        asyncio.create_task(services.sampler.sample_forever()),
        asyncio.create_task(services.idle_stop.look_forever()),
        asyncio.create_task(services.disk.watch.look_forever()),
        asyncio.create_task(services.live_environments.look_forever()),
        asyncio.create_task(services.policy_closures.look_forever()),
        asyncio.create_task(services.disk.measure_forever()),
        asyncio.create_task(services.socket_closer.look_forever()),
        asyncio.create_task(services.kernel_closer.look_forever()),
        asyncio.create_task(services.kernel_reconciler.look_forever()),
        asyncio.create_task(services.kernel_asking.ask_forever()),
        asyncio.create_task(services.trash.empty_forever()),
        asyncio.create_task(services.environment_images.sweep_forever()),
        asyncio.create_task(services.notifications.expire_forever()),
        asyncio.create_task(services.gpus.tell_forever()),
        asyncio.create_task(services.backups.look_forever()),
        asyncio.create_task(services.datasets.load_forever()),
        asyncio.create_task(services.file_retention.look_forever()),
        asyncio.create_task(_write_seen(services)),
    ]
    try:
        async with (
            services.relay.serving(),
            running(
                services.environments.runner,
                services.builder.runner,
                services.live_environments.runner,
                services.session_reconciler.runner,
                services.request_following.runner,
                services.move_steps.runner,
            ),
        ):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await services.backups.close()
        await services.clones.close()
        await services.scans.close()
        await services.environment_images.close()
        await services.environments.close()
        await services.session_reconciler.close()
        await services.drain()
        await services.db.close()


async def _write_seen(services: Services) -> None:
    while True:
        await asyncio.sleep(_SEEN_EVERY_SECONDS)
        with contextlib.suppress(Exception):
            await services.authentication.write_seen()
