"""Page cursors: opaque to clients, two strings to us."""

import base64
import binascii
from datetime import UTC, datetime
from typing import NoReturn

from studiolo.contract.errors import InvalidInput


def write_cursor(first: str, second: str) -> str:
    """Return a cursor for the row that ends a page."""
    return base64.urlsafe_b64encode(f"{first}\n{second}".encode()).decode()


def read_cursor(cursor: str | None) -> tuple[str, str] | None:
    """Return what `write_cursor` was given; raises InvalidInput (`cursor-invalid`) for anything else."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as exc:
        raise cursor_invalid() from exc
    first, newline, second = text.partition("\n")
    if not newline:
        raise cursor_invalid()
    return first, second


def read_time_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """The same for a cursor whose first part is a time in ISO 8601."""
    found = read_cursor(cursor)
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found[0])
        # One without a zone is none of ours, nor one that has no equal in UTC.
        return (at.astimezone(UTC), found[1]) if at.tzinfo is not None else _refuse()
    except (ValueError, OverflowError) as exc:
        raise cursor_invalid() from exc


def _refuse() -> NoReturn:
    raise cursor_invalid()


def cursor_invalid() -> InvalidInput:
    """The error for a cursor that is not ours."""
    return InvalidInput("cursor-invalid", "This page cursor is not one of ours.", hint="Begin without a cursor.")
