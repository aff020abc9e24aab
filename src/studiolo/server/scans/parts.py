"""Builds the service of scans."""

from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.server.audit.service import Audit
from studiolo.server.packages.effective import Policies
from studiolo.server.scans.grounds import Grounds
from studiolo.server.scans.service import Scans
from studiolo.server.settings import Settings
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces


def build_scans(
    settings: Settings,
    *,
    clock: Clock,
    db: Database,
    master: MasterKey,
    audit: Audit,
    folders: Folders,
    workspaces: Workspaces,
    policies: Policies,
    isolation: str,
) -> Scans:
    """Build the service; nothing runs yet."""
    grounds = Grounds(settings, db, clock, master, folders, policies, isolation=isolation)
    return Scans(db, clock, audit, workspaces, grounds)
