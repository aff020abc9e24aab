"""All that the sessions domain is made of, put together for the composition root."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import RowMapping

from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.accounts.keys import Keys
from studiolo.server.audit.service import Audit
from studiolo.server.engines.engines import Engines
from studiolo.server.gpus.leases import Leases
from studiolo.server.live import Live
from studiolo.server.packages.clients import Configure
from studiolo.server.packages.startup import StartupScan
from studiolo.server.sessions.admission import Admission
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.closing import SocketCloser
from studiolo.server.sessions.entry import Entry
from studiolo.server.sessions.here import Lab
from studiolo.server.sessions.history import UsageHistory
from studiolo.server.sessions.idle_stop import IdleStop
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
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces


@dataclass(frozen=True)
class Ground:
    """What sessions stand on."""

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
    launch_variables: Callable[[RowMapping], Mapping[str, str]]
    configure: Configure
    startup: StartupScan
    datasets: Callable[[RowMapping], Mapping[str, Path]]
    leases: Leases


@dataclass(frozen=True)
class SessionParts:
    """The parts of the domain that others call, run or replace."""

    changes: Changes
    secrets: SessionSecrets
    reconciler: SessionReconciler
    sessions: Sessions
    admission: Admission
    of_workspaces: WorkspaceSessions
    usages: SessionUsages
    history: UsageHistory
    sampler: Sampler
    idle_stop: IdleStop
    streams: SessionStreams
    reports: Reports
    lab: Lab
    entry: Entry
    closer: SocketCloser


def build_sessions(on: Ground) -> SessionParts:
    """Build the parts; nothing runs yet."""
    settings, changes, secrets = on.settings.sessions, Changes(), SessionSecrets(on.master)
    lookup = SessionLookup(on.workspaces, on.access)
    view = SessionView(on.db, on.clock, on.engines, changes, address=on.settings.address)
    deaths = MemoryDeaths(on.db, on.audit, changes)
    specs = LaunchSpecs(
        on.folders,
        secrets,
        settings,
        address=on.settings.address,
        variables=_variables(on.settings),
        of_workspace=on.launch_variables,
        configure=on.configure,
        startup=on.startup,
        datasets=on.datasets,
        profiles=on.settings.resources.profiles,
        volumes=on.settings.resources.volumes,
        leases=on.leases,
    )
    observations = Observations(on.db, on.clock, on.keys, on.audit, on.live, changes)
    reconciler = SessionReconciler(on.db, on.clock, on.engines, observations, deaths, specs, settings)
    wishes = Wishes(on.clock, on.keys, on.audit, changes, secrets, reconciler)
    admission = Admission(on.engines, settings, on.settings.resources, on.leases)
    sessions = Sessions(on.db, on.clock, on.engines, on.workspaces, lookup, on.audit, admission, wishes, view)
    reports = Reports(on.db, on.clock, on.live)
    closer = SocketCloser(on.db, on.clock, secrets)
    idle_stop = IdleStop(on.db, on.clock, on.live, lookup, view, wishes, reports, settings)
    return SessionParts(
        changes=changes,
        secrets=secrets,
        reconciler=reconciler,
        sessions=sessions,
        admission=admission,
        of_workspaces=WorkspaceSessions(on.clock, on.keys, wishes, on.live, closer),
        usages=SessionUsages(on.db, on.clock, on.engines, lookup),
        history=UsageHistory(on.db, on.clock, on.workspaces),
        sampler=Sampler(on.db, on.clock, on.engines, on.live, deaths),
        idle_stop=idle_stop,
        streams=SessionStreams(on.db, on.engines, lookup, view),
        reports=reports,
        lab=Lab(on.db, on.clock, sessions, idle_stop, address=on.settings.address, idle_warning=settings.idle_warning),
        entry=Entry(on.db, on.clock, on.authentication, sessions, secrets, settings),
        closer=closer,
    )


def _variables(settings: Settings) -> dict[str, str]:
    return {"STUDIOLO_CA_FILE": str(settings.authority_file)} if settings.authority_file else {}
