"""Builds the services of this folder: what the composition root passes in, and what it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studiolo.server.foundation import Foundation
from studiolo.server.packages.base_files import BaseFiles
from studiolo.server.packages.clients import PackageClients
from studiolo.server.packages.closures import Closures
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.grants import Grants
from studiolo.server.packages.guarding import Guarding
from studiolo.server.packages.outlook import Outlooks
from studiolo.server.packages.policies import PolicyRevisions
from studiolo.server.packages.startup import StartupScan
from studiolo.server.packages.variables import read_variables
from studiolo.server.workspaces.parts import WorkspaceParts


@dataclass(frozen=True)
class PackageParts:
    """The services of packages by name. Those of outlooks, base files and closures have hooks for others."""

    policies: Policies
    policy_revisions: PolicyRevisions
    policy_outlooks: Outlooks
    policy_closures: Closures
    grants: Grants
    base_files: BaseFiles
    guarding: Guarding
    package_clients: PackageClients
    startup_scan: StartupScan


def build_packages(
    on: Foundation, of_workspaces: WorkspaceParts, environ: Mapping[str, str], base_lock: Path
) -> PackageParts:
    """Build them; nothing runs yet. Raises InvalidInput (`settings-invalid`) for a variable that cannot be read."""
    db, clock, audit = on.db, on.clock, on.audit
    workspaces, folders = of_workspaces.workspaces, of_workspaces.folders
    closures = Closures()
    policies = Policies(db, clock, read_variables(on.settings, environ), folders, closures)
    base_files = BaseFiles(base_lock)
    policies.base_files = base_files.digests
    outlooks = Outlooks(db, clock, workspaces, policies, folders)
    outlooks.of_base = base_files.packages
    grants = Grants(db, clock, audit)
    grants.on_changed = policies.forget
    return PackageParts(
        policies=policies,
        policy_revisions=PolicyRevisions(db, clock, audit, workspaces, policies),
        policy_outlooks=outlooks,
        policy_closures=closures,
        grants=grants,
        base_files=base_files,
        guarding=Guarding(db, clock, audit, workspaces, policies),
        package_clients=PackageClients(on.settings, folders, policies.effective),
        startup_scan=StartupScan(policies.effective),
    )
