"""Builds the service of scans."""

from studiolo.server.foundation import Foundation
from studiolo.server.packages.parts import PackageParts
from studiolo.server.scans.grounds import Grounds
from studiolo.server.scans.service import Scans
from studiolo.server.workspaces.parts import WorkspaceParts


def build_scans(on: Foundation, of_workspaces: WorkspaceParts, of_packages: PackageParts, *, isolation: str) -> Scans:
    """Build the service; nothing runs yet."""
    grounds = Grounds(
        on.settings, on.db, on.clock, on.master, of_workspaces.folders, of_packages.policies, isolation=isolation
    )
    return Scans(on.db, on.clock, on.audit, of_workspaces.workspaces, grounds)
