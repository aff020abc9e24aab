"""Folders on the command line."""

from pathlib import Path


def absolute_if_folder(reference: str) -> str:
    """Return a folder as an absolute path; what is no folder by its spelling (a name, an id) as it is.

    A folder begins with `/`, `.` or `~`; names of workspaces never do.
    """
    if reference[:1] in ("/", ".", "~"):
        return str(Path(reference).expanduser().absolute().resolve())
    return reference
