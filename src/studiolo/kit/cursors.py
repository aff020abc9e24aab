"""Page cursors: opaque to clients, two strings to us."""

import base64
import binascii

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


def cursor_invalid() -> InvalidInput:
    """The error for a cursor that is not ours."""
    return InvalidInput("cursor-invalid", "This page cursor is not one of ours.", hint="Begin without a cursor.")
