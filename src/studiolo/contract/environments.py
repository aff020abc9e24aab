"""Environments of workspaces: what is in them, what changes them, and the record of their builds. Wire models."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from studiolo.contract.models import PersonRef, Request, Wire

Ecosystem = Literal["pypi", "conda"]
# A package with its extras and versions, or a name alone.
Spec = Annotated[str, Field(max_length=1000)]
BuildState = Literal["building", "ready", "failed", "cancelled"]
# Why a build was made. `base`: the workspace began; `live`: an installer in a notebook or terminal changed it.
Cause = Literal["base", "install", "remove", "request", "live", "rollback", "rebuild", "reset", "restore"]


class Change(Wire):
    """One package of a difference between two builds. `changes` of a build's row is a JSON list of these."""

    ecosystem: Ecosystem
    name: str
    action: Literal["installed", "removed", "changed"]
    version: str | None = Field(description="Version now; None when removed.")
    previous: str | None = Field(description="Version before; None when installed.")


class InstalledPackage(Wire):
    """A package of an environment, read from outside."""

    ecosystem: Ecosystem
    name: str
    version: str
    from_base: bool = Field(description="It came with the base in this version.")
    installed_at: datetime | None


class PlannedPackage(Wire):
    """A package that an installation comes to, and what the workspace's policy says of it.

    `code`, `rule`, `source`, `because`: see `packages.policy.decisions.Decision`.
    """

    ecosystem: Ecosystem
    name: str
    version: str
    file: str | None = Field(None, description="The file that would be installed.")
    sha256: str | None = Field(None, description="Of that file, hexadecimal.")
    channel: str | None = None
    is_there: bool = Field(description="The environment has it in this version already; nothing is fetched.")
    verdict: Literal["allow", "hide", "refuse"]
    code: str
    rule: str | None = None
    source: str | None = None
    because: str = ""
    via: list[str] = Field(default_factory=list, description="Names of those that need it; empty: you asked for it.")


class Violation(PlannedPackage):
    """A planned package that the policy does not allow."""

    path: list[str] = Field(description="From what was asked for to this package.")
    passing: list[str] = Field(description="Versions of it that the policy allows, newest first; ten at most.")


class PlanNode(Wire):
    """A package in the tree of a plan; one that stands elsewhere in it already has no `needs` here."""

    name: str
    version: str
    verdict: Literal["allow", "hide", "refuse"]
    is_there: bool
    needs: list["PlanNode"]


class Plan(Wire):
    """What installing some packages comes to: the whole closure, each judged, and as trees from those asked for."""

    packages: list[PlannedPackage]
    violations: list[Violation]
    tree: list[PlanNode]
    policy_number: int | None = Field(None, description="Of the workspace's effective policy.")
    policy_hash: str | None = None


class PackageCheck(Request):
    """Packages to look at before they are installed, as `name` or `name==version`."""

    packages: list[Spec] = Field(min_length=1, max_length=100)
    ecosystem: Ecosystem = "pypi"


class PackageFile(Request):
    """A list of packages as a file. Its name tells what it is.

    `requirements.txt` (any `.txt`), `pyproject.toml`, `environment.yml` (any `.yml`), or a `.py` with PEP 723 metadata.
    """

    name: str = Field(min_length=1, max_length=200)
    text: str = Field(max_length=500_000)


class PackageInstall(Request):
    """Packages to install: `package` (with `version`), `packages`, `file`, or any of them together."""

    package: str | None = Field(None, max_length=200, examples=["numpy"])
    version: str | None = Field(None, max_length=100, examples=["1.24.0"])
    packages: list[Spec] = Field(default_factory=list, max_length=500, examples=[["pandas==2.0.0"]])
    file: PackageFile | None = None
    ecosystem: Ecosystem = "pypi"
    channel: str | None = Field(None, max_length=200, description="A conda channel to look in.")
    channels: list[str] = Field(default_factory=list, max_length=20, description="More of them, by name or address.")
    upgrade: bool = Field(False, description="Take the newest versions of those named, also where one is there.")
    force: bool = Field(False, description="Install what the policy refuses (administrators); makes an exception.")
    reason: str = Field("", max_length=1000, description="Why; needed with `force`.")


class PackageRemove(Request):
    """Packages to remove, by name."""

    packages: list[Spec] = Field(min_length=1, max_length=500)


class Build(Wire):
    """One version of a workspace's environment, or the attempt at one. Numbers count up and are never used again."""

    number: int
    state: BuildState
    cause: Cause
    wish: str = Field(description="What was asked for, in words.")
    base: str = Field(description="Name of the base.")
    hash: str | None = Field(description="SHA-256 of the lock's canonical form; None until it is ready.")
    changes: list[Change]
    code: str | None = Field(None, description="Code of the error that ended it.")
    message: str | None = Field(None, description="Why it failed.")
    violations: list[Violation] = Field(default_factory=list, description="What the policy refused of it.")
    made_by: PersonRef | None
    session_id: str | None
    policy_hash: str | None
    made_at: datetime
    ended_at: datetime | None
    is_live: bool = Field(description="It is the environment that new kernels get.")
    progress: str | None = Field(None, description="The newest line of its progress, while it is built.")


class BuildDifference(Wire):
    """What changes from build `before` to build `after`."""

    before: int
    after: int
    base_before: str
    base_after: str
    changes: list[Change]


class EnvironmentDetails(Wire):
    """A workspace's environment now."""

    base: str
    hash: str | None
    python: str | None = Field(description="Version of Python.")
    build: Build | None = Field(description="The live build; None while there is none yet.")
    building: Build | None = Field(description="The build under way.")
    packages: list[InstalledPackage]
    isolation: str = Field(description="Isolation level of sessions here: L0 to L4.")
    enforcement: str = Field(description="What of the package policy the engine enforces, in a sentence or two.")


class Rollback(Request):
    """A build to go back to."""

    to: int = Field(ge=1)


class Base(Wire):
    """A locked set of packages that environments begin from. The platform's own is called `default`."""

    name: str
    description: str
    python: str = Field(description="Version of Python that it is for; empty: the platform's.")
    hash: str
    packages: int
    is_default: bool
    made_by: PersonRef | None
    made_at: datetime | None


class BaseCreate(Request):
    """A new base: a file of packages, resolved and locked with hashes when it is added."""

    name: str = Field(min_length=1, max_length=63)
    description: str = Field("", max_length=2000)
    python: str = Field("", max_length=20, examples=["3.12"])
    file: PackageFile
