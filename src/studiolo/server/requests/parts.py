"""Builds the services of this folder: what the composition root passes in, and what it gets."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from studiolo.packages.policy.decisions import Subject
from studiolo.server.environments.parts import EnvironmentParts
from studiolo.server.foundation import Foundation
from studiolo.server.notifications.service import Notifications
from studiolo.server.packages.host import IndexHost
from studiolo.server.packages.parts import PackageParts
from studiolo.server.principal import PLATFORM
from studiolo.server.requests.catalogue import IndexCatalogue
from studiolo.server.requests.deciding import Decisions
from studiolo.server.requests.following import Following
from studiolo.server.requests.installs import BuildInstalls
from studiolo.server.requests.service import Requests
from studiolo.server.workspaces.parts import WorkspaceParts


@dataclass(frozen=True)
class RequestParts:
    """The services of requests by name."""

    requests: Requests
    request_decisions: Decisions
    request_following: Following


def build_requests(
    on: Foundation,
    notifications: Notifications,
    of_workspaces: WorkspaceParts,
    of_packages: PackageParts,
    of_environments: EnvironmentParts,
) -> RequestParts:
    """Build them; nothing runs yet."""
    db, clock, audit, settings = on.db, on.clock, on.audit, on.settings
    workspaces, policies, grants = of_workspaces.workspaces, of_packages.policies, of_packages.grants
    requests = Requests(db, clock, audit, workspaces, notifications, policies, is_on=settings.packages.requests)
    decisions = Decisions(db, clock, audit, requests, notifications, grants)
    catalogue = IndexCatalogue(
        IndexHost(settings.index_socket, settings.index_key_file),
        policies,
        settings.osv_index if settings.packages.osv_folder is not None else None,
    )
    requests.list_files = catalogue.list_files
    requests.list_passing = of_environments.planner.passing = catalogue.list_passing
    following = Following(
        db,
        on.live,
        requests,
        notifications,
        of_environments.planner,
        catalogue,
        BuildInstalls(db, workspaces, of_environments.environments, of_environments.builds),
    )
    of_packages.policy_outlooks.requested = _waiting_in(requests)
    requests.on_asked = decisions.on_approved = following.runner.hint
    return RequestParts(requests, decisions, following)


def _waiting_in(requests: Requests) -> Callable[[str], Awaitable[list[Subject]]]:
    """Return how to find the packages that people ask for in a workspace and have no answer on yet."""

    async def find(workspace_id: str) -> list[Subject]:
        found = await requests.list_(PLATFORM, state="pending", workspace=workspace_id, limit=200)
        return [Subject(one.ecosystem, one.name) for one in found.items]

    return find
