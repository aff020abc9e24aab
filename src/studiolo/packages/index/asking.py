"""What each handler of the index host gets: the request, who asks, their policy, and the parts of the host."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from studiolo.contract.errors import Denied
from studiolo.packages.index.blobs import Blobs
from studiolo.packages.index.callers import Caller
from studiolo.packages.index.kept_pages import KeptPages
from studiolo.packages.index.metadata import Metadata
from studiolo.packages.index.owners import Owners
from studiolo.packages.index.policies import Policies
from studiolo.packages.index.reporting import Reports
from studiolo.packages.index.store import Store
from studiolo.packages.policy.decisions import Decision, Subject
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.remedies import remedy_of, wish_of


@dataclass(slots=True)
class Services:
    """The parts of one host."""

    secret: str = field(repr=False)
    policies: Policies
    owners: Owners
    pages: KeptPages
    blobs: Blobs
    metadata: Metadata
    store: Store
    reports: Reports
    conda: "Handler"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `path`: its parts below the ecosystem's name, as they were sent but decoded."""

    request: web.Request
    caller: Caller
    policy: Policy
    services: Services
    path: tuple[str, ...]

    def refuse(self, subject: Subject, decision: Decision) -> Denied:
        """Note a refusal, and return the error for the caller."""
        self.services.reports.refuse(self.caller, subject, decision)
        rule = f" (rule: {decision.rule})" if decision.rule else ""
        workspace = self.caller.workspace_name
        wish = wish_of(decision.verdict, subject.name, subject.version)
        hint = remedy_of(workspace, [(decision.code, subject.ecosystem, wish)], program="ml jupyter")
        return Denied(
            "package-refused",
            f"{decision.because.rstrip('.')}{rule}. {hint}",
            hint=hint,
            title=f"Refused by the policy of workspace {workspace}",
            decision=decision.code,
            # What a notebook says of it, see runtime.packagenotice.
            rule=decision.rule,
            source=decision.source,
            because=decision.because,
            workspace=self.caller.workspace,
        )

    def deliver(self, subject: Subject, decision: Decision, *, sha256: str, fingerprint: str | None) -> None:
        """Note a file that is about to be sent whole, and what a dry run would have refused."""
        self.services.reports.deliver(self.caller, subject, sha256=sha256, fingerprint=fingerprint)
        if decision.is_only_told:
            self.services.reports.refuse(self.caller, subject, decision, enforced=False)


Handler = Callable[[Ask], Awaitable[web.StreamResponse]]
