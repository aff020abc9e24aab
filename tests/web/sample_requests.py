"""Requests for packages as pages show them, in a workspace whose policy asks for approvals."""

import asyncio
from datetime import UTC, datetime, timedelta

from studiolo.contract.policies import PolicySet
from studiolo.contract.requests import Closure, ClosurePackage, Denial, PackageAsk, Ruling
from studiolo.server.principal import OPERATOR, Principal
from studiolo.server.requests import queries
from studiolo.server.services import Services

SAMPLE_POLICY = "package_management:\n  approval_required: [tensorflow, pytorch, lightgbm]\n"
_MIB = 1 << 20
_ALLOWED = Ruling(verdict="allow", code="allowed", rule=None, source=None, because="Nothing stands against it.")


async def add_requests(services: Services, ana: Principal, leo: Principal, churn: str) -> dict[str, str]:
    """Ask for three packages: one waits with all that it brings, one was denied. Returns the ids by name."""
    await services.policy_revisions.set(ana, churn, PolicySet(document=SAMPLE_POLICY, note="As the team agreed"))
    purpose = "Forecasts of churn by plan, for the quarterly report: the statistical models are at their end."
    denied = await services.requests.ask(leo, churn, PackageAsk(package="lightgbm<4"))
    await services.request_decisions.deny(
        OPERATOR, denied.id, Denial(reason="Use scikit-learn's: it is there already.")
    )
    asked = await services.requests.ask(ana, churn, PackageAsk(package="tensorflow", purpose=purpose))
    await services.requests.ask(leo, churn, PackageAsk(package="tensorflow==2.20.0", purpose="Paper of the week"))
    async with asyncio.timeout(60):
        # Nothing can be planned without a real environment; what a page shows is written below.
        while (await services.requests.get(ana, asked.id)).closure == Closure(state="pending"):
            await asyncio.sleep(0.01)
    now = datetime.now(UTC)
    blocked = Ruling(
        verdict="refuse",
        code="blocked",
        rule="blocked_packages: urllib3",
        source="the product's default",
        because="It is.",
    )
    packages = [
        ClosurePackage(
            name="tensorflow",
            version="2.20.0",
            is_there=False,
            judged=asked.judged,
            via=[],
            size_bytes=620 * _MIB,
            uploaded_at=now - timedelta(days=100),
            licence="Apache-2.0",
            maintainers="Google Inc. <packages@tensorflow.org>",
        ),
        ClosurePackage(name="urllib3", version="2.8.0", is_there=False, judged=blocked, via=["requests"]),
        ClosurePackage(
            name="absl-py",
            version="2.3.1",
            is_there=False,
            judged=_ALLOWED,
            via=["tensorflow"],
            size_bytes=135_000,
            uploaded_at=now - timedelta(days=12),
            licence="Apache-2.0",
            maintainers="The Abseil Authors",
            vulnerabilities=[],
        ),
    ]
    async with services.db.write() as tx:
        closure = Closure(state="ready", packages=packages).model_dump_json()
        await queries.update_request(tx.connection, asked.id, {"closure": closure})
    return {"asked": asked.id, "denied": denied.id}
