"""All that the kernels domain is made of, put together for the composition root."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from studiolo.engines.local.engine import LocalEngine
from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.accounts.keys import Keys
from studiolo.server.audit.service import Audit
from studiolo.server.engines.engines import Engines
from studiolo.server.environments.service import Environments
from studiolo.server.gpus.leases import Leases
from studiolo.server.kernels.admission import KernelAdmission
from studiolo.server.kernels.closing import KernelCloser
from studiolo.server.kernels.default_workspace import DefaultWorkspaces
from studiolo.server.kernels.door import KernelDoor
from studiolo.server.kernels.grounds import Ground
from studiolo.server.kernels.host import KernelHost
from studiolo.server.kernels.hosts import KernelHosts
from studiolo.server.kernels.inside import InsideHosts
from studiolo.server.kernels.internal import KernelQuestions
from studiolo.server.kernels.lookup import KernelLookup
from studiolo.server.kernels.of_workspaces import WorkspaceKernels
from studiolo.server.kernels.reconciler import KernelReconciler
from studiolo.server.kernels.reports import HostReports
from studiolo.server.kernels.reservations import Reservations
from studiolo.server.kernels.secrets import KernelSecrets
from studiolo.server.kernels.service import Kernels
from studiolo.server.kernels.stopping import KernelStopper
from studiolo.server.live import Live
from studiolo.server.packages.clients import Configure
from studiolo.server.packages.startup import StartupScan
from studiolo.server.sessions.reports import Reports
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.service import Sessions
from studiolo.server.sessions.workspace_sessions import WorkspaceSessions
from studiolo.server.settings import Settings
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces


@dataclass(frozen=True)
class Soil:
    """What kernels stand on."""

    settings: Settings
    clock: Clock
    db: Database
    master: MasterKey
    engines: Engines
    live: Live
    audit: Audit
    authentication: Authentication
    keys: Keys
    access: Access
    folders: Folders
    workspaces: Workspaces
    environments: Environments
    sessions: Sessions
    session_reports: Reports
    workspace_sessions: WorkspaceSessions
    configure: Configure
    startup: StartupScan
    leases: Leases


@dataclass(frozen=True)
class KernelParts:
    """The parts of the domain that others call or run."""

    kernels: Kernels
    lookup: KernelLookup
    host: KernelHost
    door: KernelDoor
    questions: KernelQuestions
    inside: InsideHosts
    reports: HostReports
    reconciler: KernelReconciler
    closer: KernelCloser
    stopper: KernelStopper
    of_workspaces: WorkspaceKernels


def build_kernels(on: Soil) -> KernelParts:
    """Build the parts; nothing runs yet."""
    settings, secrets, lookup = on.settings.kernels, KernelSecrets(on.master), KernelLookup(on.access)
    host = KernelHost(on.settings.kernels_socket, on.settings.kernels_key_file)
    ground = Ground(
        on.settings,
        on.folders,
        _places(on.engines),
        on.workspaces.launch_variables,
        on.configure,
        on.startup,
        on.leases,
    )
    admission = KernelAdmission(on.engines, settings, on.settings.resources, on.leases)
    reservations = Reservations(
        on.db,
        on.clock,
        on.authentication,
        on.workspaces,
        on.sessions,
        on.environments,
        on.keys,
        on.audit,
        admission,
        ground,
        secrets,
    )
    hosts = KernelHosts(on.db, host, on.engines, SessionSecrets(on.master), on.settings.session_sockets)
    reports = HostReports(on.db, on.clock, on.keys, on.audit, on.live, ground, secrets, on.session_reports)
    defaults = DefaultWorkspaces(on.db, on.workspaces, name=settings.default_workspace)
    closer, stopper = KernelCloser(on.db, on.clock, hosts), KernelStopper(on.db, on.keys, host)
    return KernelParts(
        kernels=Kernels(
            on.db, on.clock, on.workspaces, on.sessions, lookup, on.audit, hosts, address=on.settings.address
        ),
        lookup=lookup,
        host=host,
        door=KernelDoor(
            on.db,
            on.authentication,
            on.workspaces,
            lookup,
            defaults,
            hosts,
        ),
        questions=KernelQuestions(host, reservations, reports),
        inside=InsideHosts(on.db, on.clock, reservations, reports, ground),
        reports=reports,
        reconciler=KernelReconciler(on.db, on.clock, hosts, reports, settings),
        closer=closer,
        stopper=stopper,
        of_workspaces=WorkspaceKernels(on.workspace_sessions, stopper, closer),
    )


def _places(engines: Engines) -> Callable[[], Awaitable[Mapping[str, Path]]]:
    """Headless kernels run on this machine, beside the sessions of its engine, in groups made in the same places."""
    local = next((engine for engine in engines.values() if isinstance(engine, LocalEngine)), None)

    async def places() -> Mapping[str, Path]:
        return await local.find_places() if local is not None else {}

    return places
