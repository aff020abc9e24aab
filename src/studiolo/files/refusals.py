"""What the system refuses, in our words."""

import contextlib
import errno
from collections.abc import Iterator

from studiolo.contract.errors import Conflict, Denied, InvalidInput, NotFound, StudioloError, Unavailable
from studiolo.files.names import to_wire


@contextlib.contextmanager
def told(path: str) -> Iterator[None]:
    """Raise OSErrors of the block as StudioloErrors about `path` (as the system holds it)."""
    try:
        yield
    except OSError as exc:
        raise refusal(exc, path) from exc


def refusal(error: OSError, path: str) -> StudioloError:
    """Return the error that says what the system refused at `path` (as the system holds it)."""
    shown = to_wire(path)[:300] or "the workspace's folder"
    if isinstance(error, TimeoutError):
        return Unavailable(
            "timeout", f"Another program has been saving for long; {shown!r} was not changed.", hint="Try again."
        )
    match error.errno:
        case errno.ENOENT | errno.ESTALE:
            return missing(path)
        case errno.EEXIST | errno.ENOTEMPTY:
            return exists(path)
        case errno.ENOTDIR:
            return NotAFolder(shown)
        case errno.EISDIR:
            return IsAFolder(shown)
        case errno.ELOOP:
            return InvalidInput("links-too-many", f"The links at {shown!r} lead to each other without end.")
        case errno.ENAMETOOLONG | errno.EILSEQ:
            return InvalidInput("name-invalid", f"The file system does not take the name {shown!r}.")
        case errno.ENOSPC | errno.EDQUOT:
            return Unavailable(
                "disk-full", f"The disk is full; {shown!r} was not written.", hint="Make room, then try again."
            )
        case errno.EROFS:
            return Unavailable("read-only", f"The disk that holds {shown!r} cannot be written.")
        case errno.EACCES | errno.EPERM:
            return Denied(
                "file-not-permitted",
                f"The platform's account may not do this with {shown!r}.",
                hint="Its permission bits on the machine say who may; chmod in a terminal changes them.",
            )
        case errno.EXDEV:
            return Conflict(
                "file-not-permitted",
                f"{shown!r} lies on another disk than where it should go.",
                hint="Copy it, then delete the original.",
            )
        case errno.EINVAL:
            return InvalidInput("folder-into-itself", f"{shown!r} cannot be moved into itself.")
    return Unavailable(
        "file-not-permitted", f"The system could not do this with {shown!r}: {error.strerror}.", detail=repr(error)
    )


def missing(path: str) -> NotFound:
    """The error for what is not there."""
    return NotFound("file-not-found", f"There is no {to_wire(path)[:300]!r} in this workspace.")


def exists(path: str) -> Conflict:
    """The error for a name that is taken."""
    return Conflict(
        "file-exists",
        f"There is a {to_wire(path)[:300]!r} already; nothing was changed.",
        hint="Choose another name, or say that it may be overwritten.",
    )


class NotAFolder(Conflict):
    """A file where a folder is needed."""

    def __init__(self, shown: str) -> None:
        super().__init__("file-not-folder", f"{shown!r} is, or passes through, a file and no folder.")


class IsAFolder(Conflict):
    """A folder where a file is needed."""

    def __init__(self, shown: str) -> None:
        super().__init__("file-is-folder", f"{shown!r} is a folder.", hint="Folders come as an archive (zip).")
