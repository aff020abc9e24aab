"""Folders and files on the command line."""

from pathlib import Path

from studiolo.contract.errors import InvalidInput


def absolute_if_folder(reference: str) -> str:
    """Return a folder as an absolute path; what is no folder by its spelling (a name, an id) as it is.

    A folder begins with `/`, `.` or `~`; names of workspaces never do.
    """
    if reference[:1] in ("/", ".", "~"):
        return str(Path(reference).expanduser().absolute().resolve())
    return reference


def read_text(file: Path) -> str:
    """Return a file's text. Raises InvalidInput (`usage-invalid`) if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        said = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8 text"
        raise InvalidInput("usage-invalid", f"{file} cannot be read: {said}.", hint="Name a text file.") from exc
