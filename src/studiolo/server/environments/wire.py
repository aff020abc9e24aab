"""Rows of builds as wire models."""

import json

from sqlalchemy import RowMapping

from studiolo.contract.environments import Build, Change, Violation
from studiolo.contract.models import PersonRef
from studiolo.packages.installed import differing
from studiolo.server.environments.wishes import Wish
from studiolo.server.principal import PLATFORM, Principal


def build_of(row: RowMapping, *, live: int | None, progress: str | None = None) -> Build:
    """Return a build. `live`: number of the live one."""
    return Build(
        number=row["number"],
        state=row["state"],
        cause=row["cause"],
        wish=Wish.from_json(json.loads(row["wish"] or "{}")).describe(row["cause"]),
        base=row["base"],
        hash=row["hash"],
        changes=[Change.model_validate(one) for one in json.loads(row["changes"] or "[]")],
        code=row["code"],
        message=row["message"],
        violations=[Violation.model_validate(one) for one in json.loads(row["violations"] or "[]")],
        made_by=_maker(row),
        session_id=row["session_id"],
        policy_hash=row["policy_hash"],
        made_at=row["made_at"],
        ended_at=row["ended_at"],
        is_live=row["number"] == live,
        progress=progress if row["state"] == "building" else None,
    )


def change_of(found: differing.Change) -> Change:
    """Return a difference between two readings as it travels."""
    return Change(
        ecosystem=found.one.ecosystem,
        name=found.one.name,
        action=found.kind,
        version=found.after.version if found.after is not None else None,
        previous=found.before.version if found.before is not None else None,
    )


def principal_of(row: RowMapping) -> Principal:
    """Return whoever a build is made for, as the record names them; the platform where nobody asked."""
    if row["made_by"] is None or row["maker_name"] is None:
        return PLATFORM
    return Principal(row["made_by"], row["maker_name"], row["maker_display_name"], is_admin=False, via="platform")


def _maker(row: RowMapping) -> PersonRef | None:
    if row["made_by"] is None or row["maker_name"] is None:
        return None
    return PersonRef(id=row["made_by"], name=row["maker_name"], display_name=row["maker_display_name"])
