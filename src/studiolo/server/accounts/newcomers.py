"""Adds people: checked names, one row each."""

import re
from datetime import datetime
from typing import Any

from studiolo.contract.errors import InvalidInput
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import PersonCreate
from studiolo.contract.names import check_name
from studiolo.kit.db import Transaction
from studiolo.server.accounts import queries

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|[^@\s]+@localhost")


def check_email(email: str) -> str:
    """Return an address as it is stored, in lower case; raises InvalidInput (`email-invalid`)."""
    found = email.strip().lower()
    if not _EMAIL.fullmatch(found):
        raise InvalidInput("email-invalid", f"{found[:64]!r} cannot be an e-mail address.")
    return found


async def insert_newcomer(
    tx: Transaction,
    form: PersonCreate,
    now: datetime,
    *,
    password_hash: str | None = None,
    person_id: str | None = None,
) -> dict[str, Any]:
    """Add a person and return their row. `person_id`: theirs, where it is derived from who they are elsewhere.

    Raises InvalidInput (`name-invalid`, `email-invalid`).
    A name or address that somebody has reaches the caller as IntegrityError.
    """
    values = {
        "id": person_id or new_id(IdKind.PERSON),
        "name": check_name(form.name, what="person"),
        "display_name": form.display_name or form.name,
        "email": check_email(form.email) if form.email else None,
        "is_admin": form.is_admin,
        "password_hash": password_hash,
        "created_at": now,
    }
    await queries.insert_person(tx.connection, values)
    return values
