"""Builds the services of this folder: what the composition root passes in, and what it gets."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.packages.policy.decisions import Subject
from studiolo.server.audit.service import Audit
from studiolo.server.environments.parts import EnvironmentParts
from studiolo.server.environments.service import Environments
from studiolo.server.notifications.service import Notifications
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.grants import Grants
from studiolo.server.packages.host import IndexHost
from studiolo.server.principal import PLATFORM
from studiolo.server.requests.catalogue import IndexCatalogue
from studiolo.server.requests.deciding import Decisions
from studiolo.server.requests.following import Following
from studiolo.server.requests.installs import BuildInstalls
from studiolo.server.requests.service import Requests
from studiolo.server.settings import Settings
from studiolo.server.workspaces.service import Workspaces


@dataclass(frozen=True)
class RequestParts:
    """The services of requests by name."""

    requests: Requests
    decisions: Decisions
    following: Following


def build_requests(
    settings: Settings,
    *,
    clock: Clock,
    db: Database,
    audit: Audit,
    workspaces: Workspaces,
    notifications: Notifications,
    policies: Policies,
    grants: Grants,
    environments: Environments,
    of_environments: EnvironmentParts,
) -> RequestParts:
    """Build them; nothing runs yet."""
    requests = Requests(db, clock, audit, workspaces, notifications, policies, is_on=settings.packages.requests)
    decisions = Decisions(db, clock, audit, requests, notifications, policies, grants)
    catalogue = IndexCatalogue(
        IndexHost(settings.index_socket, settings.index_key_file),
        policies,
        settings.osv_index if settings.packages.osv_folder is not None else None,
    )
    requests.list_passing = of_environments.planner.passing = catalogue.list_passing
    following = Following(
        db,
        audit.live,
        requests,
        notifications,
        of_environments.planner,
        catalogue,
        BuildInstalls(db, workspaces, environments, of_environments.builds),
    )
    requests.on_asked = decisions.on_approved = following.runner.hint
    return RequestParts(requests, decisions, following)


def waiting_in(requests: Requests) -> Callable[[str], Awaitable[list[Subject]]]:
    """Return how to find the packages that people ask for in a workspace and have no answer on yet."""

    async def find(workspace_id: str) -> list[Subject]:
        found = await requests.list_(PLATFORM, state="pending", workspace=workspace_id, limit=200)
        return [Subject(one.ecosystem, one.name) for one in found.items]

    return find
