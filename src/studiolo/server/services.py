"""Everything that the control plane is made of, built from settings: the first half of the composition root."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import RowMapping

from studiolo import __version__
from studiolo.contract.lab import Notice
from studiolo.contract.models import PlatformInfo
from studiolo.engines.base import Engine
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.packages.enforcement import enforcement_of
from studiolo.server.accounts.banners import Banners
from studiolo.server.accounts.hub_sign_in import TITLE as HUB
from studiolo.server.accounts.parts import AccountParts, build_accounts
from studiolo.server.accounts.people_parts import PeopleParts, build_people
from studiolo.server.backup.service import BackupService
from studiolo.server.datasets.service import Datasets
from studiolo.server.directory import Directory
from studiolo.server.disk.rooms import Rooms
from studiolo.server.disk.service import Disk
from studiolo.server.disk.watch import DiskWatch
from studiolo.server.engines.engines import Engines
from studiolo.server.engines.parts import build_engines
from studiolo.server.engines.words import isolation_notice
from studiolo.server.environments import clone
from studiolo.server.environments.base import SHIPPED_LOCK
from studiolo.server.environments.base_parts import BaseParts, build_bases
from studiolo.server.environments.images.parts import build_images
from studiolo.server.environments.images.service import Images
from studiolo.server.environments.parts import EnvironmentParts, build_environments
from studiolo.server.environments.service import BuildBase
from studiolo.server.files.parts import FileParts, build_files
from studiolo.server.foundation import Foundation, lay_foundation
from studiolo.server.gpus.leases import Leases
from studiolo.server.gpus.service import GPUService
from studiolo.server.http.hosts import Hosts
from studiolo.server.http.identity import CookieNames, Identity
from studiolo.server.inspection import Inspection
from studiolo.server.kernels import queries as kernel_queries
from studiolo.server.kernels.parts import KernelParts, build_kernels
from studiolo.server.metrics import Meters, Metrics
from studiolo.server.notifications.service import Notifications
from studiolo.server.packages.index_parts import IndexParts, build_index
from studiolo.server.packages.parts import PackageParts, build_packages
from studiolo.server.principal import Principal
from studiolo.server.relay import Relay
from studiolo.server.requests.parts import RequestParts, build_requests
from studiolo.server.scans.parts import build_scans
from studiolo.server.scans.service import Scans
from studiolo.server.schema import database_url
from studiolo.server.sessions import queries as session_queries
from studiolo.server.sessions.here import Source
from studiolo.server.sessions.history import note_disk
from studiolo.server.sessions.parts import SessionParts, build_sessions
from studiolo.server.settings import Settings
from studiolo.server.sharing.service import Shares
from studiolo.server.workspaces.parts import WorkspaceParts, build_workspaces


@dataclass(frozen=True, kw_only=True)
class Services(
    Foundation,
    AccountParts,
    PeopleParts,
    WorkspaceParts,
    BaseParts,
    EnvironmentParts,
    PackageParts,
    IndexParts,
    RequestParts,
    SessionParts,
    KernelParts,
    FileParts,
):
    """The parts of all areas, by name; routes and pages ask for them (see http.services).

    An area names its parts in a file of its own; here stand those that are an area by themselves. Names that two
    areas share, or that one lacks, fail the start.
    """

    engines: Engines
    hosts: Hosts
    cookies: CookieNames
    identity: Identity
    platform: PlatformInfo
    notifications: Notifications
    directory: Directory
    shares: Shares
    datasets: Datasets
    gpus: GPUService
    gpu_leases: Leases
    relay: Relay
    disk: Disk
    backups: BackupService
    scans: Scans
    environment_images: Images
    metrics: Metrics
    inspection: Inspection

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
    db = Database(database_url(settings))
    on = lay_foundation(settings, db, clock)
    hosts, cookies = Hosts(settings), CookieNames.of(settings)
    running = build_engines(settings) if engines is None else _given(engines, settings)
    platform = _platform(settings, running, hosts)
    isolation, notice = platform.isolation, platform.isolation_notice
    of_accounts = build_accounts(on, notice=notice)
    notifications, leases = Notifications(db, on.clock, on.live), Leases(db, on.clock)
    of_bases = build_bases(on)
    of_workspaces = build_workspaces(
        on,
        of_accounts,
        running,
        tools=of_bases.bases,
        remove_environment=clone.remove,
        spoil_environment=clone.spoil,
    )
    workspaces, folders = of_workspaces.workspaces, of_workspaces.folders
    datasets = Datasets(db, on.clock, on.audit, of_accounts.accounts, workspaces, folders, settings.data_dir)
    base_lock = settings.environments.lock_file or SHIPPED_LOCK
    of_packages = build_packages(on, of_workspaces, os.environ, base_lock)
    of_index = build_index(on, of_accounts, of_workspaces, of_packages)
    of_environments = build_environments(on, of_workspaces, of_bases, build_base=build_base, isolation=isolation)
    of_environments.join(of_packages, of_index)
    of_requests = build_requests(on, notifications, of_workspaces, of_packages, of_environments)
    of_sessions = build_sessions(
        on, running, of_accounts, of_workspaces, of_packages, datasets=datasets.folders, leases=leases
    )
    sessions, environments = of_sessions.sessions, of_environments.environments
    of_kernels = build_kernels(
        on,
        running,
        of_accounts,
        of_workspaces,
        of_packages,
        environments,
        of_sessions,
        leases,
        datasets=datasets.folders,
    )
    backups = BackupService(settings, db, on.clock, on.audit)
    disk_watch = DiskWatch(settings.data_dir)
    services = Services(
        **vars(on),
        **vars(of_accounts),
        **vars(build_people(on, of_accounts, notice=notice)),
        **vars(of_workspaces),
        **vars(of_bases),
        **vars(of_environments),
        **vars(of_packages),
        **vars(of_index),
        **vars(of_requests),
        **vars(of_sessions),
        **vars(of_kernels),
        **vars(build_files(on, of_accounts, of_workspaces)),
        engines=running,
        hosts=hosts,
        cookies=cookies,
        identity=Identity(of_accounts.authentication, hosts, cookies),
        platform=platform,
        notifications=notifications,
        directory=Directory(db, on.clock, sessions),
        shares=Shares(db, on.clock, workspaces, on.audit),
        datasets=datasets,
        gpus=GPUService(db, on.clock, running, on.audit, notifications, leases),
        gpu_leases=leases,
        relay=Relay(settings.relay_socket),
        disk=Disk(settings, db, on.clock, on.audit, folders, of_workspaces.trash, disk_watch),
        backups=backups,
        scans=build_scans(on, of_workspaces, of_packages, isolation=isolation),
        environment_images=build_images(on, running, of_workspaces, of_packages, of_index),
        metrics=Metrics(settings, db, running, sessions, Meters()),
        inspection=Inspection(settings, db, running, environments, sessions, backups),
    )
    _join(services)
    return services


def _given(engines: Mapping[str, Engine], settings: Settings) -> Engines:
    # What stands for engines in a process answers from memory: nothing needs to be remembered.
    if isinstance(engines, Engines):
        return engines
    return Engines(engines, default=settings.engines.default, remembered_seconds=0)


def _platform(settings: Settings, engines: Engines, hosts: Hosts) -> PlatformInfo:
    isolation = min((engines[name].isolation for name in engines.usable), default="L0")
    return PlatformInfo(
        version=__version__,
        address=settings.address,
        instance=settings.instance,
        isolation=isolation,
        isolation_notice=isolation_notice(isolation),
        package_policy=enforcement_of(isolation),
        single_team=hosts.is_single_team,
        signs_in_with=HUB if settings.accounts.jupyterhub.url else None,
    )


def _join(services: Services) -> None:
    """Have areas tell each other what they cannot ask for: those that are built first know no later ones."""
    _join_workspaces(services)
    _join_launches(services)
    _join_endings(services)
    _join_watchers(services)


def _join_workspaces(services: Services) -> None:
    services.workspaces.more_variables = services.datasets.variables
    services.copies.on_copying = services.policy_revisions.carry
    services.exports.policies = services.imports.policies = services.policy_revisions
    services.exports.find_lock = services.environment_restoring.find_lock
    services.imports.restore = services.environment_restoring.restore_lock
    services.base_files.more_locks = services.bases.locks
    services.invitations.holdings = services.suspension.holdings = services.holdings
    services.members.tell = services.notifications.tell
    services.moves.count_kernels = lambda connection, workspace_id: kernel_queries.count_alive(
        connection, workspace_id=workspace_id
    )
    services.workspace_register.sessions = services.environment_recorder.users = services.workspace_kernels

    async def find(who: Principal, reference: str) -> str:
        return (await services.workspaces.get(who, reference)).id

    services.keys.find_workspace = find


def _join_launches(services: Services) -> None:
    reconciler, environments = services.session_reconciler, services.environments
    services.session_admission.beside = kernel_queries.claimed
    services.gpu_leases.living = (session_queries.list_wanted, kernel_queries.list_holders)
    environments.on_changed = reconciler.look_at_workspace
    reconciler.on_environment_missing = environments.restore
    reconciler.on_environment_wanted = environments.want


def _join_endings(services: Services) -> None:
    services.suspension.also_forget = (
        services.notifications.forget_person,
        services.requests.forget_person,
        services.policies.forget_person,
        services.gpus.forget_person,
    )
    services.socket_closer.close_carried = services.relay.close

    def close(person_id: str, logins: set[str]) -> None:
        services.socket_closer.close(person_id, logins)
        services.kernel_closer.close(person_id, logins)

    services.accounts.on_ended = services.keys.on_ended = services.suspension.on_ended = close


def _join_watchers(services: Services) -> None:
    watch, meters = services.disk.watch, services.metrics.meters
    services.disk.on_changed = note_disk
    watch.on_change = lambda: services.live.tell_everybody("usage")
    services.lab.sources += [watch.notices, Rooms(services.db).notices, _banner_notices(services.banners)]
    services.audit.on_recorded = lambda action: meters.events.labels(action).inc()
    services.session_reconciler.on_ready = meters.starts.observe


def _banner_notices(banners: Banners) -> Source:
    async def notices(row: RowMapping) -> list[Notice]:
        banner = await banners.current()
        return [Notice(id=banner.id, level=banner.level, text=banner.text)] if banner else []

    return notices
