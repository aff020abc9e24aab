"""Everything that the control plane is made of, built from settings: the first half of the composition root."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import RowMapping

from studiolo import __version__
from studiolo.contract.lab import Notice
from studiolo.contract.models import PlatformInfo
from studiolo.engines.base import Engine
from studiolo.kit.clock import Clock, SystemClock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.packages.enforcement import enforcement_of
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.accounts.banners import Banners
from studiolo.server.accounts.devices import Devices
from studiolo.server.accounts.hub_sign_in import TITLE as HUB
from studiolo.server.accounts.hub_sign_in import HubSignIn
from studiolo.server.accounts.invitations import Invitations
from studiolo.server.accounts.keys import Keys
from studiolo.server.accounts.mail import Mail
from studiolo.server.accounts.parts import build_accounts
from studiolo.server.accounts.service import Accounts
from studiolo.server.accounts.suspension import Suspension
from studiolo.server.audit.service import Audit
from studiolo.server.backup.service import BackupService
from studiolo.server.datasets.service import Datasets
from studiolo.server.directory import Directory
from studiolo.server.disk.service import Disk
from studiolo.server.disk.watch import DiskWatch
from studiolo.server.engines.engines import Engines
from studiolo.server.engines.parts import build_engines
from studiolo.server.engines.words import isolation_notice
from studiolo.server.environments import clone
from studiolo.server.environments.base import SHIPPED_LOCK, ensure_base
from studiolo.server.environments.bases import Bases
from studiolo.server.environments.builder import Builder
from studiolo.server.environments.builds import Builds
from studiolo.server.environments.history import History
from studiolo.server.environments.interpreters import OLDEST, Interpreters
from studiolo.server.environments.parts import build_environments
from studiolo.server.environments.planning import Planner
from studiolo.server.environments.policed import closer
from studiolo.server.environments.restoring import Restoring
from studiolo.server.environments.searching import CondaSearch
from studiolo.server.environments.service import BuildBase, Environments
from studiolo.server.environments.uv_installer import UvInstaller
from studiolo.server.environments.watching import Watcher
from studiolo.server.files.door import FileDoor
from studiolo.server.files.host import FileHost
from studiolo.server.files.internal import FileQuestions
from studiolo.server.files.retention import FileRetention
from studiolo.server.files.searching import FileSearches
from studiolo.server.files.service import Files
from studiolo.server.files.versions import FileVersions
from studiolo.server.gpus.leases import Leases
from studiolo.server.gpus.service import GPUService
from studiolo.server.http.hosts import Hosts
from studiolo.server.http.identity import CookieNames, Identity
from studiolo.server.inspection import Inspection
from studiolo.server.kernels import queries as kernel_queries
from studiolo.server.kernels.closing import KernelCloser
from studiolo.server.kernels.door import KernelDoor
from studiolo.server.kernels.host import KernelHost
from studiolo.server.kernels.inside import InsideHosts
from studiolo.server.kernels.internal import KernelQuestions
from studiolo.server.kernels.lookup import KernelLookup
from studiolo.server.kernels.parts import Soil, build_kernels
from studiolo.server.kernels.reconciler import KernelReconciler
from studiolo.server.kernels.reports import HostReports
from studiolo.server.kernels.service import Kernels
from studiolo.server.kernels.stopping import KernelStopper
from studiolo.server.live import Live
from studiolo.server.metrics import Meters, Metrics
from studiolo.server.moves.service import Moves
from studiolo.server.moves.steps import MoveSteps
from studiolo.server.notifications.service import Notifications
from studiolo.server.packages.clients import PackageClients
from studiolo.server.packages.closures import Closures
from studiolo.server.packages.credentials import IndexCredentials
from studiolo.server.packages.door import IndexDoor
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.grants import Grants
from studiolo.server.packages.guarding import Guarding
from studiolo.server.packages.index_parts import build_index
from studiolo.server.packages.internal import IndexQuestions
from studiolo.server.packages.outlook import Outlooks
from studiolo.server.packages.parts import build_packages
from studiolo.server.packages.policies import PolicyRevisions
from studiolo.server.packages.startup import StartupScan
from studiolo.server.principal import Principal
from studiolo.server.relay import Relay
from studiolo.server.requests.deciding import Decisions
from studiolo.server.requests.following import Following
from studiolo.server.requests.parts import build_requests, waiting_in
from studiolo.server.requests.service import Requests
from studiolo.server.scans.parts import build_scans
from studiolo.server.scans.service import Scans
from studiolo.server.schema import database_url
from studiolo.server.sessions import queries as session_queries
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.closing import SocketCloser
from studiolo.server.sessions.entry import Entry
from studiolo.server.sessions.here import Lab, Source
from studiolo.server.sessions.history import UsageHistory
from studiolo.server.sessions.idle_stop import IdleStop
from studiolo.server.sessions.parts import Ground, build_sessions
from studiolo.server.sessions.reconciler import SessionReconciler
from studiolo.server.sessions.reports import Reports
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.service import Sessions
from studiolo.server.sessions.streams import SessionStreams
from studiolo.server.sessions.usage import Sampler, SessionUsages
from studiolo.server.sessions.workspace_sessions import WorkspaceSessions
from studiolo.server.settings import Settings
from studiolo.server.sharing.service import Shares
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.cloning import Clones
from studiolo.server.workspaces.copies import Copies
from studiolo.server.workspaces.exporting import Exports
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.holdings import WorkspaceHoldings
from studiolo.server.workspaces.importing import Imports
from studiolo.server.workspaces.members import Members
from studiolo.server.workspaces.parts import build_workspaces
from studiolo.server.workspaces.records import Records
from studiolo.server.workspaces.resets import Resets
from studiolo.server.workspaces.service import Workspaces
from studiolo.server.workspaces.sizes import Sizes
from studiolo.server.workspaces.trash import Trash


@dataclass(frozen=True)
class Services:
    """The parts, by name; routes and pages ask for them (see http.services)."""

    settings: Settings
    clock: Clock
    db: Database
    engines: Engines
    hosts: Hosts
    cookies: CookieNames
    identity: Identity
    authentication: Authentication
    live: Live
    audit: Audit
    keys: Keys
    accounts: Accounts
    devices: Devices
    hub_sign_in: HubSignIn
    invitations: Invitations
    suspension: Suspension
    holdings: WorkspaceHoldings
    banners: Banners
    notifications: Notifications
    directory: Directory
    shares: Shares
    access: Access
    workspaces: Workspaces
    members: Members
    sizes: Sizes
    copies: Copies
    records: Records
    exports: Exports
    imports: Imports
    clones: Clones
    moves: Moves
    move_steps: MoveSteps
    resets: Resets
    trash: Trash
    environments: Environments
    bases: Bases
    planner: Planner
    builder: Builder
    builds: Builds
    build_history: History
    conda_search: CondaSearch
    live_environments: Watcher
    environment_restoring: Restoring
    requests: Requests
    request_decisions: Decisions
    request_following: Following
    changes: Changes
    session_secrets: SessionSecrets
    session_reconciler: SessionReconciler
    sessions: Sessions
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
    relay: Relay
    kernels: Kernels
    kernel_lookup: KernelLookup
    kernel_host: KernelHost
    kernel_door: KernelDoor
    kernel_questions: KernelQuestions
    kernel_inside: InsideHosts
    kernel_reports: HostReports
    kernel_reconciler: KernelReconciler
    kernel_closer: KernelCloser
    kernel_stopper: KernelStopper
    files: Files
    file_searches: FileSearches
    file_versions: FileVersions
    file_retention: FileRetention
    file_host: FileHost
    file_door: FileDoor
    file_questions: FileQuestions
    index_door: IndexDoor
    index_questions: IndexQuestions
    index_credentials: IndexCredentials
    disk: Disk
    gpus: GPUService
    inspection: Inspection
    metrics: Metrics
    backups: BackupService
    datasets: Datasets
    scans: Scans
    policies: Policies
    policy_revisions: PolicyRevisions
    policy_outlooks: Outlooks
    policy_closures: Closures
    grants: Grants
    guarding: Guarding
    platform: PlatformInfo

    async def drain(self) -> None:
        """Wait until what was told to others after a commit has been told, for a process that ends now."""
        await self.socket_closer.drain()
        await self.kernel_closer.drain()
        await self.kernel_stopper.drain()


def build(
    settings: Settings,
    *,
    engines: Mapping[str, Engine] | None = None,
    clock: Clock | None = None,
    build_base: BuildBase | None = None,
) -> Services:
    """Build the services; nothing runs yet. The keywords replace the real things in tests."""
    clock = clock or SystemClock()
    db = Database(database_url(settings))
    master = MasterKey.load(settings.data_dir / "secrets" / "master.key")
    hosts, cookies, live = Hosts(settings), CookieNames.of(settings), Live()
    running = build_engines(settings) if engines is None else _given(engines, settings)
    isolation = min((running[name].isolation for name in running.usable), default="L0")
    platform = PlatformInfo(
        version=__version__,
        address=settings.address,
        instance=settings.instance,
        isolation=isolation,
        isolation_notice=isolation_notice(isolation),
        package_policy=enforcement_of(isolation),
        single_team=hosts.is_single_team,
        signs_in_with=HUB if settings.accounts.jupyterhub.url else None,
    )
    audit = Audit(db, clock, live)
    of_accounts = build_accounts(
        settings, clock=clock, db=db, master=master, audit=audit, live=live, notice=platform.isolation_notice
    )
    authentication, keys, accounts = of_accounts.authentication, of_accounts.keys, of_accounts.accounts
    invitations = Invitations(
        db,
        clock,
        master,
        settings.accounts,
        accounts,
        keys,
        audit,
        Mail(settings.mail, domain=settings.domain),
        address=settings.address,
        notice=platform.isolation_notice,
    )
    suspension = Suspension(db, clock, authentication, audit, live)
    notifications = Notifications(db, clock, live)
    access = Access(db)
    live.audience = access.audience
    folders = Folders(settings.data_dir, settings.workspaces.allowed_roots)
    interpreters = Interpreters(settings.environments.python, oldest=_oldest_python(settings))
    pip = UvInstaller(settings.data_dir / "cache" / "plans")
    bases = Bases(
        db,
        clock,
        audit,
        interpreters,
        pip,
        data_dir=settings.data_dir,
        lock_file=settings.environments.lock_file,
        timeout=settings.environments.build_timeout,
    )
    of_workspaces = build_workspaces(
        settings,
        clock=clock,
        db=db,
        accounts=accounts,
        audit=audit,
        access=access,
        folders=folders,
        engines=running,
        tools=bases,
        remove_environment=clone.remove,
        spoil_environment=clone.spoil,
    )
    workspaces = of_workspaces.workspaces
    of_packages = build_packages(
        settings,
        os.environ,
        settings.environments.lock_file or SHIPPED_LOCK,
        clock=clock,
        db=db,
        audit=audit,
        folders=folders,
        workspaces=workspaces,
    )
    datasets = Datasets(db, clock, audit, accounts, workspaces, folders, settings.data_dir)
    workspaces.more_variables = datasets.variables
    environments = Environments(
        db,
        workspaces,
        folders,
        interpreters,
        build_base=build_base or _base_builder(settings),
        build_other=lambda python, progress: _build_base(settings, python, progress),
        build_named=bases.build,
    )
    of_environments = build_environments(
        settings.data_dir,
        pip,
        clock=clock,
        db=db,
        audit=audit,
        workspaces=workspaces,
        folders=folders,
        environments=environments,
        isolation=isolation,
        conda_channels=settings.packages.conda_channels,
    )
    of_requests = build_requests(
        settings,
        clock=clock,
        db=db,
        audit=audit,
        workspaces=workspaces,
        notifications=notifications,
        policies=of_packages.policies,
        grants=of_packages.grants,
        environments=environments,
        of_environments=of_environments,
    )
    of_packages.closures.resolve = closer(of_environments.planner)
    of_workspaces.copies.on_copying = of_packages.revisions.carry
    of_workspaces.exports.policies = of_workspaces.imports.policies = of_packages.revisions
    of_packages.outlooks.requested = waiting_in(of_requests.requests)
    of_workspaces.trash.on_restored = of_workspaces.resets.on_reset = environments.want
    of_index = build_index(
        settings,
        clock=clock,
        db=db,
        master=master,
        audit=audit,
        authentication=authentication,
        workspaces=workspaces,
        policies=of_packages.policies,
    )
    find_policy = of_packages.policies.effective
    leases = Leases(db, clock)
    clients, startup = PackageClients(settings, folders, find_policy), StartupScan(find_policy)
    of_packages.base_files.more_locks = bases.locks
    of_environments.join(of_packages.policies, of_packages.grants, clients, of_index.credentials)
    of_sessions = build_sessions(
        Ground(
            settings=settings,
            clock=clock,
            db=db,
            master=master,
            engines=running,
            live=live,
            audit=audit,
            authentication=authentication,
            keys=keys,
            access=access,
            folders=folders,
            workspaces=workspaces,
            launch_variables=workspaces.launch_variables,
            configure=clients.configure,
            startup=startup,
            datasets=datasets.folders,
            leases=leases,
        )
    )
    of_kernels = build_kernels(
        Soil(
            settings=settings,
            clock=clock,
            db=db,
            master=master,
            engines=running,
            live=live,
            audit=audit,
            authentication=authentication,
            keys=keys,
            access=access,
            folders=folders,
            workspaces=workspaces,
            environments=environments,
            sessions=of_sessions.sessions,
            session_reports=of_sessions.reports,
            workspace_sessions=of_sessions.of_workspaces,
            configure=clients.configure,
            startup=startup,
            leases=leases,
        )
    )
    backups = BackupService(settings, db, clock, audit)
    watch, banners = DiskWatch(settings.data_dir), Banners(db, clock, audit, live)
    watch.on_change = lambda: live.tell_everybody("usage")
    relay = Relay(settings.relay_socket)
    of_sessions.closer.close_carried = relay.close
    of_sessions.lab.sources += [watch.notices, _banner_notices(banners)]
    meters = Meters()
    audit.on_recorded = lambda action: meters.events.labels(action).inc()
    of_sessions.reconciler.on_ready = meters.starts.observe
    file_host = FileHost(settings.files_socket, settings.files_key_file)
    of_sessions.admission.beside = kernel_queries.claimed
    of_workspaces.moves.count_kernels = lambda connection, workspace_id: kernel_queries.count_alive(
        connection, workspace_id=workspace_id
    )
    leases.living = (session_queries.list_wanted, kernel_queries.list_holders)
    of_workspaces.register.sessions = of_environments.recorder.users = of_kernels.of_workspaces
    invitations.holdings = suspension.holdings = of_workspaces.holdings
    gpus = GPUService(db, clock, running, audit, notifications, leases)
    suspension.also_forget = (
        notifications.forget_person,
        of_requests.requests.forget_person,
        of_packages.policies.forget_person,
        gpus.forget_person,
    )
    accounts.on_ended = keys.on_ended = suspension.on_ended = _close_both(of_sessions.closer, of_kernels.closer)
    keys.find_workspace = _finder(workspaces)
    environments.on_changed = of_sessions.reconciler.look_at_workspace
    of_sessions.reconciler.on_environment_missing = environments.restore
    of_sessions.reconciler.on_environment_wanted = environments.want
    return Services(
        settings=settings,
        clock=clock,
        db=db,
        engines=running,
        hosts=hosts,
        cookies=cookies,
        identity=Identity(authentication, hosts, cookies),
        authentication=authentication,
        live=live,
        audit=audit,
        keys=keys,
        accounts=accounts,
        devices=Devices(db, clock, master, keys, audit, address=settings.address),
        hub_sign_in=HubSignIn(
            db,
            clock,
            master,
            settings.accounts.jupyterhub,
            accounts,
            suspension,
            audit,
            address=settings.address,
        ),
        invitations=invitations,
        suspension=suspension,
        holdings=of_workspaces.holdings,
        banners=banners,
        notifications=notifications,
        directory=Directory(db, clock, of_sessions.sessions),
        shares=Shares(db, clock, workspaces, audit),
        access=access,
        workspaces=workspaces,
        members=of_workspaces.members,
        sizes=of_workspaces.sizes,
        copies=of_workspaces.copies,
        records=of_workspaces.records,
        exports=of_workspaces.exports,
        imports=of_workspaces.imports,
        clones=of_workspaces.clones,
        moves=of_workspaces.moves,
        move_steps=of_workspaces.move_steps,
        resets=of_workspaces.resets,
        trash=of_workspaces.trash,
        environments=environments,
        bases=bases,
        planner=of_environments.planner,
        builder=of_environments.builder,
        builds=of_environments.builds,
        build_history=of_environments.history,
        conda_search=of_environments.conda_search,
        live_environments=of_environments.watcher,
        environment_restoring=Restoring(db, workspaces, of_environments.builds),
        requests=of_requests.requests,
        request_decisions=of_requests.decisions,
        request_following=of_requests.following,
        changes=of_sessions.changes,
        session_secrets=of_sessions.secrets,
        session_reconciler=of_sessions.reconciler,
        sessions=of_sessions.sessions,
        workspace_sessions=of_sessions.of_workspaces,
        session_usages=of_sessions.usages,
        usage_history=of_sessions.history,
        sampler=of_sessions.sampler,
        idle_stop=of_sessions.idle_stop,
        session_streams=of_sessions.streams,
        session_reports=of_sessions.reports,
        lab=of_sessions.lab,
        entry=of_sessions.entry,
        socket_closer=of_sessions.closer,
        relay=relay,
        kernels=of_kernels.kernels,
        kernel_lookup=of_kernels.lookup,
        kernel_host=of_kernels.host,
        kernel_door=of_kernels.door,
        kernel_questions=of_kernels.questions,
        kernel_inside=of_kernels.inside,
        kernel_reports=of_kernels.reports,
        kernel_reconciler=of_kernels.reconciler,
        kernel_closer=of_kernels.closer,
        kernel_stopper=of_kernels.stopper,
        disk=Disk(settings.data_dir, db, clock, audit, folders, of_workspaces.trash, watch),
        metrics=Metrics(settings, db, running, of_sessions.sessions, meters),
        files=Files(db, workspaces, folders, audit, file_host),
        file_searches=FileSearches(db, workspaces, folders, file_host),
        file_versions=FileVersions(db, workspaces, folders, audit, file_host, settings.files),
        file_retention=FileRetention(db, clock, folders, settings.files),
        file_host=file_host,
        file_door=FileDoor(db, authentication, workspaces, folders, file_host),
        index_door=of_index.door,
        index_questions=of_index.questions,
        index_credentials=of_index.credentials,
        file_questions=FileQuestions(db, authentication, workspaces, audit, file_host),
        gpus=gpus,
        inspection=Inspection(settings, db, running, environments, of_sessions.sessions, backups),
        backups=backups,
        datasets=datasets,
        scans=build_scans(
            settings,
            clock=clock,
            db=db,
            master=master,
            audit=audit,
            folders=folders,
            workspaces=workspaces,
            policies=of_packages.policies,
            isolation=isolation,
        ),
        policies=of_packages.policies,
        policy_revisions=of_packages.revisions,
        policy_outlooks=of_packages.outlooks,
        policy_closures=of_packages.closures,
        grants=of_packages.grants,
        guarding=of_packages.guarding,
        platform=platform,
    )


def _given(engines: Mapping[str, Engine], settings: Settings) -> Engines:
    # What stands for engines in a process answers from memory: nothing needs to be remembered.
    if isinstance(engines, Engines):
        return engines
    return Engines(engines, default=settings.engines.default, remembered_seconds=0)


def _close_both(sessions: SocketCloser, kernels: KernelCloser) -> Callable[[str, set[str]], None]:
    def close(person_id: str, logins: set[str]) -> None:
        sessions.close(person_id, logins)
        kernels.close(person_id, logins)

    return close


def _banner_notices(banners: Banners) -> Source:
    async def notices(row: RowMapping) -> list[Notice]:
        banner = await banners.current()
        return [Notice(id=banner.id, level=banner.level, text=banner.text)] if banner else []

    return notices


def _finder(workspaces: Workspaces) -> Callable[[Principal, str], Awaitable[str]]:
    async def find(who: Principal, reference: str) -> str:
        return (await workspaces.get(who, reference)).id

    return find


def _base_builder(settings: Settings) -> BuildBase:
    return lambda progress: _build_base(settings, settings.environments.python, progress)


async def _build_base(settings: Settings, python: str, progress: Callable[[str], None]) -> Path:
    return await ensure_base(
        settings.data_dir,
        python=python,
        lock_file=settings.environments.lock_file,
        timeout=settings.environments.build_timeout,
        progress=progress,
    )


def _oldest_python(settings: Settings) -> tuple[int, ...]:
    # For which versions another lock was made, its administrator knows.
    return OLDEST if settings.environments.lock_file is None else (3,)
