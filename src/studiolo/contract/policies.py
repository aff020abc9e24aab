"""Wire models of package policies."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from studiolo.contract.models import PersonRef, Request, Wire

LARGEST_DOCUMENT = 64 * 1024
_CALL = r"^[A-Za-z_][A-Za-z0-9_.]{0,199}$"


class PolicyRevision(Wire):
    """What somebody set, for the platform or for a workspace; never changed afterwards."""

    number: int
    document: str = Field(description="A workspace-security.yaml, as it was written.")
    note: str
    made_by: PersonRef | None = Field(description="None: the machine's operator, or somebody who was erased.")
    made_at: datetime


class PolicyRule(Wire):
    """An entry of a list. `limits`: what it cannot do and people might take for granted, else None."""

    entry: str
    kind: Literal["distribution", "module", "call"]
    source: str
    limits: str | None


class PolicyGrant(Wire):
    """An approval or an exception that holds now. `id`: None for one that stands in a document."""

    id: str | None
    kind: Literal["approval", "exception"]
    ecosystem: Literal["pypi", "conda"] | None
    name: str
    specifier: str
    reason: str
    by: str
    until: datetime | None


class EffectivePolicy(Wire):
    """What holds: the organisation's policy, the workspace's, variables and grants, as one numbered revision.

    For the platform `number` is the organisation's own revision, 0 while the product's policy holds.
    """

    scope: Literal["platform", "workspace"]
    workspace: str | None = Field(description="The workspace's name.")
    number: int
    hash: str
    trusted_channels: list[str]
    internal_names: list[str]
    blocked_packages: list[PolicyRule]
    approval_required: list[PolicyRule]
    allowlist: list[PolicyRule]
    pins: list[PolicyRule]
    grants: list[PolicyGrant]
    mode: Literal["open", "allowlist"]
    transitive: Literal["closure", "explicit"]
    on_blocked_dependency: Literal["fail", "backtrack"]
    wheels_only: bool
    cooldown_days: int
    cooldown_exempt_channels: list[str]
    startup_blocked_packages: list[PolicyRule] | None = Field(description="None: nobody looks at start.")
    code_rules: Literal["report", "guard"]
    dry_run: bool
    sources: dict[str, str] = Field(description="Which source decided each key.")
    notes: list[str] = Field(description="What was left out, and why.")
    revision: PolicyRevision | None = Field(description="What was set in this scope last; None: nothing yet.")
    document: str = Field(description="What to edit: that revision's text, or a beginning.")


class PolicyDocument(Request):
    """A policy to look at before it is set."""

    document: str = Field(max_length=LARGEST_DOCUMENT, description="The text of a workspace-security.yaml.")


class PolicySet(PolicyDocument):
    """Set a policy; it becomes a new revision.

    `after`: the revision that it was written upon, 0 for none: if another came since, nothing is set.
    """

    note: str = Field("", max_length=500, description="Why, for those who read the history.")
    after: int | None = Field(None, ge=0)


class Judgement(Wire):
    """What a policy says of a package or a version of it."""

    ecosystem: Literal["pypi", "conda"]
    name: str
    version: str | None
    verdict: Literal["allow", "hide", "refuse"]
    code: str
    rule: str | None = Field(description="The entry as somebody wrote it.")
    source: str | None = Field(description="Where the entry stands.")
    because: str
    until: datetime | None
    is_only_told: bool = Field(description="Whether it passes only because of a dry run.")


class PolicyChange(Wire):
    """A package for which a policy would change the answer. `workspace`: its name; None for a package of the base."""

    workspace: str | None
    where: Literal["base", "installed", "requested"]
    before: Judgement
    after: Judgement


class PolicyOutlook(Wire):
    """What a policy would change."""

    workspaces: int = Field(description="How many workspaces were looked at.")
    packages: int = Field(description="How many packages were looked at.")
    changes: list[PolicyChange]
    notes: list[str]


class GuardFinding(Request):
    """What the guard of a kernel refused to a cell: names alone, nothing of its code."""

    kernel: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,64}$", description="Its id, as it says itself.")
    rule: str = Field(pattern=_CALL, description="The policy's rule on code: a module or a function.")
    call: str = Field(pattern=_CALL, description="What was called or imported.")
