"""Rows of requests as wire models."""

from collections.abc import Iterable

from sqlalchemy import RowMapping

from studiolo.contract.models import PersonRef, WorkspaceRef
from studiolo.contract.requests import Asker, Closure, PackageRequest, Ruling
from studiolo.packages.policy.decisions import Decision


def wire(row: RowMapping, askers: Iterable[RowMapping]) -> PackageRequest:
    """Return a row of `queries.list_requests` with those who asked for it."""
    return PackageRequest(
        id=row["id"],
        workspace=WorkspaceRef(id=row["workspace_id"], name=row["workspace_name"], owner=row["owner_name"]),
        ecosystem=row["ecosystem"],
        name=row["name"],
        specifier=row["specifier"],
        state=row["state"],
        judged=Ruling.model_validate_json(row["judged"]),
        people=[
            Asker(
                person=PersonRef(id=one["person_id"], name=one["name"], display_name=one["display_name"]),
                purpose=one["purpose"],
                specifier=one["specifier"],
                asked_at=one["asked_at"],
            )
            for one in askers
            if one["request_id"] == row["id"]
        ],
        asked_at=row["asked_at"],
        closure=Closure.model_validate_json(row["closure"]),
        decided_by=_decider(row),
        decided_at=row["decided_at"],
        reason=row["reason"],
        scope=row["scope"],
        until=row["until"],
        install_state=row["install_state"],
        build=row["installed_build"],
        install_message=row["install_message"],
    )


def ruling(decision: Decision) -> Ruling:
    """Return a policy's decision as it travels."""
    return Ruling(
        verdict=decision.verdict.value,
        code=decision.code,
        rule=decision.rule,
        source=decision.source,
        because=decision.because,
    )


def _decider(row: RowMapping) -> PersonRef | None:
    if row["decided_by"] is None:
        return None
    return PersonRef(id=row["decided_by"], name=row["decider_name"], display_name=row["decider_display_name"])
