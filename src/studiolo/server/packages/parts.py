"""Builds the services of this folder: what the composition root passes in, and what it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.audit.service import Audit
from studiolo.server.packages.base_files import BaseFiles
from studiolo.server.packages.closures import Closures
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.grants import Grants
from studiolo.server.packages.guarding import Guarding
from studiolo.server.packages.outlook import Outlooks
from studiolo.server.packages.policies import PolicyRevisions
from studiolo.server.packages.variables import read_variables
from studiolo.server.settings import Settings
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces


@dataclass(frozen=True)
class PackageParts:
    """The services of packages by name. `outlooks`, `base_files` and `closures` have hooks for others."""

    policies: Policies
    revisions: PolicyRevisions
    outlooks: Outlooks
    grants: Grants
    base_files: BaseFiles
    closures: Closures
    guarding: Guarding


def build_packages(
    settings: Settings,
    environ: Mapping[str, str],
    base_lock: Path,
    *,
    clock: Clock,
    db: Database,
    audit: Audit,
    folders: Folders,
    workspaces: Workspaces,
) -> PackageParts:
    """Build them; nothing runs yet. Raises InvalidInput (`settings-invalid`) for a variable that cannot be read."""
    closures = Closures()
    policies = Policies(db, clock, read_variables(settings, environ), folders, closures)
    base_files = BaseFiles(base_lock)
    policies.base_files = base_files.digests
    outlooks = Outlooks(db, clock, workspaces, policies, folders)
    outlooks.of_base = base_files.packages
    grants = Grants(db, clock, audit)
    grants.on_changed = policies.forget
    revisions = PolicyRevisions(db, clock, audit, workspaces, policies)
    guarding = Guarding(db, clock, audit, workspaces, policies)
    return PackageParts(policies, revisions, outlooks, grants, base_files, closures, guarding)
