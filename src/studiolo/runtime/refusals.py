"""Why a file of a session was not saved or deleted, in words for people: JupyterLab shows them as they are."""

import errno

from tornado.web import HTTPError

from studiolo.runtime.history.place import NotPlainFileError
from studiolo.runtime.history.versions import Version

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def conflict(path: str, version: Version) -> HTTPError:
    """Return the error for a save that was kept as a version instead of being written."""
    return HTTPError(
        409,
        f"{path} was changed elsewhere since you loaded it, so yours was not written over that. It is not lost: it is "
        "kept as a version of the file. Load the file again to see what is there now; both are under its versions.",
        reason=f"conflict-{version.id}",
    )


def refusal(error: OSError, path: str, done: str) -> HTTPError:
    """Return the error for what the system refused. `done`: saved, or deleted."""
    match error:
        case TimeoutError():
            status, message = 503, f"{path} was not {done}: {error}. Try again."
        case FileNotFoundError():
            status, message = 404, f"{path} was not {done}: its folder or the file is gone."
        case NotPlainFileError():
            status, message = 400, f"{path} is no plain file, and was not {done}."
        case OSError(errno=number) if number in _NO_ROOM:
            status, message = (
                507,
                f"The disk is full: {path} was not {done}, and is as it was. Make room, then try again.",
            )
        case OSError(errno=number) if number in _NOT_ALLOWED:
            status, message = 403, f"{path} may not be changed, and was not {done}: {error.strerror}."
        case OSError(errno=errno.EXDEV):
            status, message = 400, f"{path} lies on another disk than the workspace: remove it in a terminal."
        case _:
            status, message = 500, f"{path} was not {done}: {error.strerror or error}."
    return HTTPError(status, message)
