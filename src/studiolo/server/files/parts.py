"""Builds the services of this folder: what the composition root passes in, and what it gets."""

from dataclasses import dataclass

from studiolo.server.accounts.parts import AccountParts
from studiolo.server.files.door import FileDoor
from studiolo.server.files.host import FileHost
from studiolo.server.files.internal import FileQuestions
from studiolo.server.files.retention import FileRetention
from studiolo.server.files.searching import FileSearches
from studiolo.server.files.service import Files
from studiolo.server.files.versions import FileVersions
from studiolo.server.foundation import Foundation
from studiolo.server.workspaces.parts import WorkspaceParts


@dataclass(frozen=True)
class FileParts:
    """The services of files by name."""

    files: Files
    file_searches: FileSearches
    file_versions: FileVersions
    file_retention: FileRetention
    file_host: FileHost
    file_door: FileDoor
    file_questions: FileQuestions


def build_files(on: Foundation, of_accounts: AccountParts, of_workspaces: WorkspaceParts) -> FileParts:
    """Build them; nothing runs yet."""
    settings, authentication = on.settings.files, of_accounts.authentication
    workspaces, folders = of_workspaces.workspaces, of_workspaces.folders
    host = FileHost(on.settings.files_socket, on.settings.files_key_file)
    return FileParts(
        files=Files(on.db, workspaces, folders, on.audit, host),
        file_searches=FileSearches(on.db, workspaces, folders, host),
        file_versions=FileVersions(on.db, workspaces, folders, on.audit, host, settings),
        file_retention=FileRetention(on.db, on.clock, folders, settings),
        file_host=host,
        file_door=FileDoor(on.db, authentication, workspaces, folders, host),
        file_questions=FileQuestions(on.db, authentication, workspaces, on.audit, host),
    )
