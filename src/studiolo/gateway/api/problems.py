"""Every error leaves as one JSON object: Jupyter's `message` and `reason`, and our problem's members beside them.

Source: jupyter_server 2.21, APIHandler.write_error; RFC 9457 for the others.
"""

import errno
from http import HTTPStatus

from aiohttp import web

from studiolo.contract.errors import (
    CODES,
    HTTP_STATUS,
    Denied,
    Internal,
    InvalidInput,
    NotFound,
    NotSignedIn,
    StudioloError,
    Unavailable,
)

# Cases for which HTTP, or Jupyter, has a closer status than their kind's.
_OWN_STATUS = {
    "request-invalid": 400,
    "path-invalid": 400,
    "request-too-large": 413,
    "method-not-allowed": 405,
    "host-unknown": 421,
    "kernel-not-started": 500,
}


def status_of(error: StudioloError) -> int:
    """Return the HTTP status of an error."""
    return _OWN_STATUS.get(error.code, HTTP_STATUS[error.kind])


def problem(error: StudioloError) -> web.Response:
    """Return the reply for an error; only what is meant for the person is in it."""
    status = status_of(error)
    message = f"{error.message} {error.hint}" if error.hint else error.message
    body = {
        "message": message,
        # The status in words, as Kernel Gateway gives it: jupyter_server's client of gateways shows it, and where it is
        # null says that the gateway cannot be reached.
        "reason": HTTPStatus(status).phrase,
        # Some clients look for it; it is always empty, as Jupyter's.
        "traceback": "",
        "type": f"urn:studiolo:error:{error.code}",
        "title": CODES[error.code],
        "status": status,
        "detail": error.message,
        "code": error.code,
        "kind": error.kind,
        "hint": error.hint,
        **error.extra,
    }
    headers = {"WWW-Authenticate": 'Bearer realm="studiolo"'} if isinstance(error, NotSignedIn) else {}
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    return web.json_response(body, status=status, headers=headers)


def from_http(error: web.HTTPException) -> StudioloError:
    """Return our error for what the HTTP server itself refuses."""
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return InvalidInput("request-too-large", "The body is larger than 1 MiB.", hint="Send less.")
    return InvalidInput("request-invalid", f"{HTTPStatus(error.status).phrase}.")


def fault() -> Internal:
    """Return what a person may know of an unexpected exception."""
    return Internal("internal", "Something unexpected went wrong in the kernel host.", hint="Its log has the detail.")


def of_system(error: OSError) -> StudioloError:
    """Return the error for what the system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("disk-full", "The disk is full.", hint="Make room, then try again.")
    return fault()


def no_route() -> NotFound:
    """Return the error for an address where nothing is."""
    return NotFound("route-not-found", "There is nothing at this address.")


def no_listing() -> Denied:
    """Return the error where clients are not told what there is; as Kernel Gateway without `list_kernels`."""
    return Denied("denied", "This gateway does not list kernels.", hint="Ask for one by its id.")


def no_kernel(kernel_id: str) -> NotFound:
    """Return the error for a kernel that is absent or another's: both look the same."""
    return NotFound("kernel-not-found", f"Kernel does not exist: {kernel_id[:64]}")


def foreign_origin() -> Denied:
    """Return the error for a change that another site's page asked for."""
    return Denied(
        "origin-mismatch",
        "This came from another site's page.",
        hint="Pages of other sites need an API key, and their origin in the list of allowed ones.",
    )
