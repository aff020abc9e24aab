"""Use case: search the names and contents of a workspace's files, by the file host's index (docs/decisions/006)."""

from studiolo.contract.file_search import FileSearch
from studiolo.kit.db import Database
from studiolo.server.files.host import FileHost
from studiolo.server.principal import Principal
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces


class FileSearches:
    """Searches of workspaces."""

    def __init__(self, db: Database, workspaces: Workspaces, folders: Folders, host: FileHost) -> None:
        self._db = db
        self._workspaces = workspaces
        self._folders = folders
        self._host = host

    async def search(
        self,
        who: Principal,
        workspace: str,
        text: str,
        *,
        within: str = "",
        limit: int = 50,
        at_once: bool = False,
    ) -> FileSearch:
        """Return what fits all words of `text`, in the folder `within`. Raises errors of `files.root.Root`.

        `at_once`: of what is known now, without a moment's wait for a look at the files.
        """
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, workspace, "file.read")
        folder = self._folders.here(row)
        asked = {"workspace": row["id"], "q": text, "in": within, "limit": limit, "at-once": "yes" if at_once else None}
        return FileSearch.model_validate_json(await self._host.ask("search", folder, asked))
