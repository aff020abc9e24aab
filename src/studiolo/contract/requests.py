"""Wire models of requests for packages: who asks for what, what it brings along, what was decided."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from studiolo.contract.environments import Ecosystem
from studiolo.contract.models import PersonRef, Request, Wire, WorkspaceRef

RequestState = Literal["pending", "approved", "denied", "withdrawn"]
Scope = Literal["workspace", "global"]
# Codes of decisions that an approval does not lift, and an exception does.
LIFTED_BY_EXCEPTION = frozenset({"blocked", "pinned", "too-new", "not-a-wheel"})
# `wanted`: it begins soon. None of these: nothing was approved.
InstallState = Literal["wanted", "building", "installed", "failed"]


class Asker(Wire):
    """Somebody who wants the package."""

    person: PersonRef
    purpose: str
    specifier: str = Field(description="The versions that they asked for; empty: any.")
    asked_at: datetime


class Ruling(Wire):
    """What a policy says of a package; the members are those of `packages.policy.decisions.Decision`."""

    verdict: Literal["allow", "hide", "refuse"]
    code: str
    rule: str | None
    source: str | None
    because: str

    @property
    def needs_exception(self) -> bool:
        """Whether an approval is not enough: a block, and the like, is lifted by an exception only."""
        return self.code in LIFTED_BY_EXCEPTION


class ClosurePackage(Wire):
    """A package that would come along, and what is known of it. What is not known is None: unknown, not clean."""

    name: str
    version: str
    is_there: bool = Field(description="The environment has it already.")
    judged: Ruling
    via: list[str] = Field(description="Names of those that need it; empty: it was asked for.")
    size_bytes: int | None = None
    uploaded_at: datetime | None = None
    licence: str | None = None
    maintainers: str | None = None
    vulnerabilities: list[str] | None = Field(None, description="Ids of those known; None: nobody looked.")


class Closure(Wire):
    """All that an installation would bring, as worked out after it was asked for."""

    state: Literal["pending", "ready", "unknown"]
    message: str | None = Field(None, description="Why it is not known.")
    packages: list[ClosurePackage] = Field(default_factory=list)


class PackageRequest(Wire):
    """A wish for a package in a workspace; people who want the same share one."""

    id: str
    workspace: WorkspaceRef
    ecosystem: Ecosystem
    name: str
    specifier: str = Field(description="The versions asked for; empty: any, or that people ask for different ones.")
    state: RequestState
    judged: Ruling = Field(description="What the policy said when it was asked for.")
    people: list[Asker]
    asked_at: datetime
    closure: Closure
    decided_by: PersonRef | None
    decided_at: datetime | None
    reason: str | None = Field(description="What was said with the decision.")
    scope: Scope | None = Field(description="Where the approval holds.")
    until: datetime | None = Field(description="When the approval ends; None: never.")
    install_state: InstallState | None
    build: int | None = Field(description="The build that installed it, or that is about to.")
    install_message: str | None = Field(description="Why it could not be installed.")


class PackageAsk(Request):
    """Ask for a package that the workspace's policy does not allow."""

    package: str = Field(min_length=1, max_length=200, examples=["torch", "torch==2.9.0"])
    ecosystem: Ecosystem = "pypi"
    purpose: str = Field("", max_length=2000, description="What you need it for; administrators read it.")


class Approval(Request):
    """Allow what was asked for, and have it installed."""

    scope: Scope = Field("workspace", description="`global`: in all workspaces, for all who ask for it.")
    until: datetime | None = Field(None, description="When it ends, with its time zone; left out: never.")
    version: str | None = Field(None, max_length=200, description="Versions, such as `<3`; left out: as asked for.")
    reason: str = Field("", max_length=2000)
    exception: bool = Field(False, description="Lift blocks too; needs a reason.")
    with_dependencies: bool = Field(False, description="Allow what it needs and the policy refuses, too.")


class Denial(Request):
    """Refuse what was asked for; who asked reads the reason."""

    reason: str = Field(min_length=1, max_length=2000, examples=["Security concern"])
