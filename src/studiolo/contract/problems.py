"""Errors as they travel between the parts of the platform and to its clients: RFC 9457 problem objects."""

from collections.abc import Mapping
from typing import Any

from studiolo.contract.errors import CODES, HTTP_STATUS, KINDS, STATUS_OF_CODE, StudioloError

# What an error's own members are called, and those that a kernel host adds for Jupyter's clients.
_KNOWN = frozenset({"type", "title", "status", "detail", "code", "kind", "hint", "request_id"})
_JUPYTERS = frozenset({"message", "reason", "traceback"})
MEDIA_TYPE = "application/problem+json"


def status_of(error: StudioloError) -> int:
    """Return the HTTP status of an error."""
    return STATUS_OF_CODE.get(error.code, HTTP_STATUS[error.kind])


def members_of(error: StudioloError) -> dict[str, Any]:
    """Return the members of an error's problem object; only what is meant for the person is in it."""
    return {
        "type": f"urn:studiolo:error:{error.code}",
        "title": CODES[error.code],
        "status": status_of(error),
        "detail": error.message,
        "code": error.code,
        "kind": error.kind,
        "hint": error.hint,
        **error.extra,
    }


def error_of(found: Any) -> StudioloError | None:
    """Return the error that a part of this platform answered; None for what is no problem object of ours."""
    if not isinstance(found, Mapping) or found.get("kind") not in KINDS or found.get("code") not in CODES:
        return None
    extra = {name: value for name, value in found.items() if name not in _KNOWN | _JUPYTERS}
    return KINDS[found["kind"]](found["code"], str(found.get("detail") or ""), hint=found.get("hint"), **extra)
