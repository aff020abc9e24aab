"""Builds of a sample workspace: ready, rolled back, refused, and one under way."""

import json
from datetime import timedelta

from studiolo.contract.environments import Change, Violation
from studiolo.server.environments import queries
from studiolo.server.environments.wishes import Wish
from studiolo.server.principal import Principal
from studiolo.server.services import Services

_INSTALLED = Change(ecosystem="pypi", name="polars", action="installed", version="1.36.0", previous=None)
_CHANGED = Change(ecosystem="pypi", name="pandas", action="changed", version="2.0.0", previous="2.3.3")
_REFUSED = Violation(
    ecosystem="pypi",
    name="urllib3",
    version="2.8.0",
    is_there=False,
    verdict="refuse",
    code="blocked",
    rule="blocked_packages: urllib3",
    source="the product's default policy",
    because="urllib3 is blocked.",
    via=["mlflow"],
    path=["mlflow", "requests", "urllib3"],
    passing=[],
)


async def add_builds(services: Services, ana: Principal, leo: Principal, churn: str) -> None:
    """Write builds of churn; the last one failed."""
    now = services.clock.now()
    rows = [
        ("ready", "install", Wish(install=["polars"]), [_INSTALLED], ana, None),
        ("ready", "live", Wish(), [_CHANGED], leo, None),
        ("failed", "install", Wish(install=["mlflow"]), [], ana, [_REFUSED]),
    ]
    async with services.db.write() as tx:
        # What is there is what the live build says, so that nobody finds it changed.
        live = await queries.find_live(tx.connection, churn)
        assert live is not None
        for hours, (state, cause, wish, changes, who, violations) in enumerate(rows):
            at = now - timedelta(hours=len(rows) - hours)
            values = {
                "state": state,
                "base": "default",
                "hash": live["hash"] if state == "ready" else None,
                "lock": live["lock"] if state == "ready" else None,
                "changes": json.dumps([one.model_dump() for one in changes]),
                "cause": cause,
                "wish": json.dumps(wish.to_json()),
                "code": "package-refused" if violations else None,
                "message": "urllib3 is blocked. requests needs it." if violations else None,
                "violations": json.dumps([one.model_dump() for one in violations or ()]),
                "made_by": who.person_id,
                "made_at": at,
                "ended_at": at + timedelta(seconds=1),
            }
            await queries.insert_build(tx.connection, churn, values)
