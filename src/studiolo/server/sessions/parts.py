"""All that the sessions domain is made of, put together for the composition root."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import RowMapping

from studiolo.server.accounts.parts import AccountParts
from studiolo.server.engines.engines import Engines
from studiolo.server.environments.elsewhere import Recipes
from studiolo.server.foundation import Foundation
from studiolo.server.gpus.leases import Leases
from studiolo.server.packages.parts import PackageParts
from studiolo.server.sessions.admission import Admission
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.closing import SocketCloser
from studiolo.server.sessions.entry import Entry
from studiolo.server.sessions.here import Lab
from studiolo.server.sessions.history import UsageHistory
from studiolo.server.sessions.idle_stop import IdleStop
from studiolo.server.sessions.kernel_workloads import KernelWorkloads
from studiolo.server.sessions.launch_spec import LaunchSpecs
from studiolo.server.sessions.lookup import SessionLookup
from studiolo.server.sessions.memory_deaths import MemoryDeaths
from studiolo.server.sessions.observations import Observations
from studiolo.server.sessions.reconciler import SessionReconciler
from studiolo.server.sessions.reports import Reports
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.service import Sessions
from studiolo.server.sessions.streams import SessionStreams
from studiolo.server.sessions.usage import Sampler, SessionUsages
from studiolo.server.sessions.view import SessionView
from studiolo.server.sessions.wishes import Wishes
from studiolo.server.sessions.workspace_sessions import WorkspaceSessions
from studiolo.server.settings import Settings
from studiolo.server.workspaces.parts import WorkspaceParts


@dataclass(frozen=True)
class SessionParts:
    """The parts of the domain that others call, run or replace."""

    changes: Changes
    session_secrets: SessionSecrets
    session_reconciler: SessionReconciler
    sessions: Sessions
    session_admission: Admission
    workspace_sessions: WorkspaceSessions
    session_usages: SessionUsages
    usage_history: UsageHistory
    sampler: Sampler
    idle_stop: IdleStop
    session_streams: SessionStreams
    session_reports: Reports
    lab: Lab
    entry: Entry
    socket_closer: SocketCloser
    kernel_workloads: KernelWorkloads


def build_sessions(
    on: Foundation,
    engines: Engines,
    of_accounts: AccountParts,
    of_workspaces: WorkspaceParts,
    of_packages: PackageParts,
    *,
    datasets: Callable[[RowMapping], Mapping[str, Path]],
    leases: Leases,
) -> SessionParts:
    """Build the parts; nothing runs yet."""
    workspaces, keys = of_workspaces.workspaces, of_accounts.keys
    settings, changes, secrets = on.settings.sessions, Changes(), SessionSecrets(on.master)
    lookup = SessionLookup(workspaces, of_workspaces.access)
    view = SessionView(on.db, on.clock, engines, changes, address=on.settings.address)
    deaths = MemoryDeaths(on.db, on.audit, changes)
    specs = LaunchSpecs(
        of_workspaces.folders,
        secrets,
        settings,
        address=on.settings.address,
        variables=_variables(on.settings),
        of_workspace=workspaces.launch_variables,
        configure=of_packages.package_clients.configure,
        startup=of_packages.startup_scan,
        datasets=datasets,
        profiles=on.settings.resources.profiles,
        volumes=on.settings.resources.volumes,
        leases=leases,
        recipe=Recipes(on.db, of_packages.base_files.hashes).find,
    )
    observations = Observations(on.db, on.clock, keys, on.audit, on.live, changes)
    reconciler = SessionReconciler(on.db, on.clock, engines, observations, deaths, specs, settings)
    wishes = Wishes(on.clock, keys, on.audit, changes, secrets, reconciler)
    admission = Admission(engines, settings, on.settings.resources, leases)
    sessions = Sessions(on.db, on.clock, engines, workspaces, lookup, on.audit, admission, wishes, view)
    reports = Reports(on.db, on.clock, on.live)
    closer = SocketCloser(on.db, on.clock, secrets)
    kernels_stop = on.settings.kernels.workload_idle_stop
    idle_stop = IdleStop(on.db, on.clock, on.live, lookup, view, wishes, reports, settings, kernels_stop=kernels_stop)
    return SessionParts(
        changes=changes,
        session_secrets=secrets,
        session_reconciler=reconciler,
        sessions=sessions,
        session_admission=admission,
        workspace_sessions=WorkspaceSessions(on.clock, keys, wishes, on.live, closer),
        session_usages=SessionUsages(on.db, on.clock, engines, lookup),
        usage_history=UsageHistory(on.db, on.clock, workspaces),
        sampler=Sampler(on.db, on.clock, engines, on.live, deaths),
        idle_stop=idle_stop,
        session_streams=SessionStreams(on.db, engines, lookup, view),
        session_reports=reports,
        lab=Lab(on.db, on.clock, sessions, idle_stop, address=on.settings.address, idle_warning=settings.idle_warning),
        entry=Entry(on.db, on.clock, of_accounts.authentication, sessions, secrets, settings),
        socket_closer=closer,
        kernel_workloads=KernelWorkloads(on.db, on.clock, workspaces, admission, wishes, view, idle_stop=kernels_stop),
    )


def _variables(settings: Settings) -> dict[str, str]:
    return {"STUDIOLO_CA_FILE": str(settings.authority_file)} if settings.authority_file else {}
