"""All that the kernels domain is made of, put together for the composition root."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.engines.local.engine import LocalEngine
from studiolo.server.accounts.parts import AccountParts
from studiolo.server.engines.engines import Engines
from studiolo.server.environments.service import Environments
from studiolo.server.foundation import Foundation
from studiolo.server.gpus.leases import Leases
from studiolo.server.kernels.admission import KernelAdmission
from studiolo.server.kernels.asking import HostAsking
from studiolo.server.kernels.closing import KernelCloser
from studiolo.server.kernels.default_workspace import DefaultWorkspaces
from studiolo.server.kernels.door import KernelDoor
from studiolo.server.kernels.elsewhere import KernelsElsewhere
from studiolo.server.kernels.grounds import Enclose, Ground
from studiolo.server.kernels.host import KernelHost
from studiolo.server.kernels.hosts import KernelHosts
from studiolo.server.kernels.inside import InsideHosts
from studiolo.server.kernels.internal import KernelQuestions
from studiolo.server.kernels.lookup import KernelLookup
from studiolo.server.kernels.of_workspaces import WorkspaceKernels
from studiolo.server.kernels.reconciler import KernelReconciler
from studiolo.server.kernels.reports import HostReports
from studiolo.server.kernels.reservations import Reservations
from studiolo.server.kernels.rows import KernelRows
from studiolo.server.kernels.secrets import KernelSecrets
from studiolo.server.kernels.service import Kernels
from studiolo.server.kernels.stopping import KernelStopper
from studiolo.server.packages.parts import PackageParts
from studiolo.server.sessions.parts import SessionParts
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.workspaces.parts import WorkspaceParts


@dataclass(frozen=True)
class KernelParts:
    """The parts of the domain that others call or run."""

    kernels: Kernels
    kernel_lookup: KernelLookup
    kernel_host: KernelHost
    kernel_door: KernelDoor
    kernel_questions: KernelQuestions
    kernel_inside: InsideHosts
    kernel_reports: HostReports
    kernel_reconciler: KernelReconciler
    kernel_asking: HostAsking
    kernel_closer: KernelCloser
    kernel_stopper: KernelStopper
    workspace_kernels: WorkspaceKernels


def build_kernels(
    on: Foundation,
    engines: Engines,
    of_accounts: AccountParts,
    of_workspaces: WorkspaceParts,
    of_packages: PackageParts,
    environments: Environments,
    of_sessions: SessionParts,
    leases: Leases,
    *,
    datasets: Callable[[Mapping[str, Any]], Mapping[str, Path]],
) -> KernelParts:
    """Build the parts; nothing runs yet."""
    workspaces, folders = of_workspaces.workspaces, of_workspaces.folders
    authentication, keys, sessions = of_accounts.authentication, of_accounts.keys, of_sessions.sessions
    settings, secrets, lookup = on.settings.kernels, KernelSecrets(on.master), KernelLookup(of_workspaces.access)
    host = KernelHost(on.settings.kernels_socket, on.settings.kernels_key_file)
    ground = Ground(
        on.settings,
        folders,
        _places(engines),
        workspaces.launch_variables,
        of_packages.package_clients.configure,
        of_packages.startup_scan,
        leases,
        _enclose(engines),
        datasets,
    )
    admission = KernelAdmission(engines, settings, on.settings.resources, leases)
    rows = KernelRows(on.clock, keys, on.audit, admission, secrets)
    hosts = KernelHosts(on.db, host, engines, SessionSecrets(on.master), on.settings.session_sockets)
    reports = HostReports(on.db, on.clock, keys, on.audit, on.live, ground, secrets, of_sessions.session_reports)
    elsewhere = KernelsElsewhere(on.db, engines, of_sessions.kernel_workloads, hosts, admission, rows, reports, ground)
    reservations = Reservations(
        on.db,
        authentication,
        workspaces,
        sessions,
        environments,
        rows,
        admission,
        ground,
        secrets,
        elsewhere,
    )
    inside = InsideHosts(on.db, on.clock, rows, reports, ground)
    defaults = DefaultWorkspaces(on.db, workspaces, name=settings.default_workspace)
    hint = of_sessions.session_reconciler.runner.hint
    closer, stopper = KernelCloser(on.db, on.clock, hosts), KernelStopper(on.db, keys, host)
    return KernelParts(
        kernels=Kernels(
            on.db,
            on.clock,
            workspaces,
            sessions,
            lookup,
            on.audit,
            hosts,
            address=on.settings.address,
            here=engines.here,
        ),
        kernel_lookup=lookup,
        kernel_host=host,
        kernel_door=KernelDoor(
            on.db,
            authentication,
            workspaces,
            lookup,
            defaults,
            hosts,
        ),
        kernel_questions=KernelQuestions(host, reservations, reports),
        kernel_inside=inside,
        kernel_reports=reports,
        kernel_reconciler=KernelReconciler(on.db, on.clock, hosts, reports, settings, hint),
        kernel_asking=HostAsking(on.clock, hosts, inside, of_sessions.session_reports),
        kernel_closer=closer,
        kernel_stopper=stopper,
        workspace_kernels=WorkspaceKernels(of_sessions.workspace_sessions, stopper, closer),
    )


def _places(engines: Engines) -> Callable[[], Awaitable[Mapping[str, Path]]]:
    """Headless kernels run on this machine, beside the sessions of its engine, in groups made in the same places."""
    local = _find_local(engines)

    async def places() -> Mapping[str, Path]:
        return await local.find_places() if local is not None else {}

    return places


def _enclose(engines: Engines) -> Enclose:
    """They live in enclosures where its sessions do."""
    local = _find_local(engines)
    return local.enclose if local is not None else lambda *_, **__: {}


def _find_local(engines: Engines) -> LocalEngine | None:
    return next((engine for engine in engines.values() if isinstance(engine, LocalEngine)), None)
