"""Builds the service of images."""

from datetime import timedelta

from studiolo.server.engines.engines import Engines
from studiolo.server.environments.elsewhere import Recipes
from studiolo.server.environments.images.fetching import Access
from studiolo.server.environments.images.service import Images
from studiolo.server.foundation import Foundation
from studiolo.server.packages.credentials import LOGIN
from studiolo.server.packages.index_parts import IndexParts
from studiolo.server.packages.parts import PackageParts
from studiolo.server.workspaces.parts import WorkspaceParts

# An image whose files take longer to fetch fails, and can be asked for again.
_FETCHING = timedelta(hours=1)


def build_images(
    on: Foundation, engines: Engines, of_workspaces: WorkspaceParts, of_packages: PackageParts, of_index: IndexParts
) -> Images:
    """Build it; nothing runs yet."""

    async def open_index(workspace_id: str, person_id: str) -> Access:
        key = of_index.index_credentials.make(workspace_id, cause="image", person_id=person_id, lifetime=_FETCHING)
        index = await of_packages.package_clients.index(workspace_id)
        return Access(index.simple, LOGIN, key, index.certificates)

    return Images(
        on.db,
        on.audit,
        of_workspaces.workspaces,
        engines,
        Recipes(on.db, of_packages.base_files.hashes).find,
        open_index,
        scratch=on.settings.data_dir / "cache" / "images",
    )
