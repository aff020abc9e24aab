"""Wire models of the less frequent dealings with workspaces: configuration, metadata, export, trash, reset."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from studiolo.contract.models import Member, PersonRef, Request, Wire
from studiolo.contract.resources import Isolation, Resources
from studiolo.contract.shape import Shape

_Names = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=1000)]


class Security(Shape):
    """The `security:` part of workspace-config.yaml, kept with the workspace."""

    model_config = ConfigDict(extra="forbid")

    trusted_channels: _Names | None = None
    blocked_packages: _Names | None = None


class EnvironmentConfig(Shape):
    """The `environment:` part: three reserved keys, every other one is an environment variable (decision A-16)."""

    model_config = ConfigDict(extra="forbid")

    python_version: str | None = Field(None, max_length=20, examples=["3.11"])
    jupyter_version: str | None = Field(None, max_length=20, examples=["latest"])
    base: str | None = Field(None, max_length=63, description="Name of the base that it begins from.")
    variables: dict[str, str] = Field(default_factory=dict)


class WorkspaceConfig(Shape):
    """All of workspace-config.yaml."""

    model_config = ConfigDict(extra="forbid")

    profile: str | None = Field(None, max_length=63)
    resources: Resources = Field(default_factory=Resources)
    environment: EnvironmentConfig = Field(default_factory=EnvironmentConfig)
    security: Security = Field(default_factory=Security)
    engine: str | None = Field(None, max_length=32, description="Where its sessions run; None: the platform's default.")
    min_isolation: Isolation | None = Field(None, description="A launch with less is refused.")
    volumes: list[Annotated[str, Field(max_length=63)]] = Field(
        default_factory=list, max_length=20, description="Volumes that its sessions find at /volumes."
    )


class Duplicate(Request):
    """Make a copy of a workspace's files and configuration under a new name; you own the copy."""

    name: str = Field(examples=["churn-copy"])


class Transfer(Request):
    """Make another member the owner. `person`: name, e-mail or id."""

    person: str = Field(max_length=254)


class Reset(Request):
    """Put a workspace's environment back to the platform's default.

    `hard`: kernels, caches and the environment go. `delete_files`: its notebooks and data go too, into the trash.
    `confirm`: the workspace's name, needed with `delete_files`.
    """

    hard: bool = False
    delete_files: bool = False
    confirm: str | None = Field(None, max_length=63)


class TrashedWorkspace(Wire):
    """A deleted workspace that can still come back."""

    id: str
    name: str
    owner: PersonRef
    deleted_at: datetime
    erased_after: datetime


class ExecutionRecord(Wire):
    """A notebook as it was last run."""

    path: str
    at: datetime
    session: str | None


class WorkspaceMetadata(Wire):
    """Everything that is known about a workspace beside its files."""

    id: str
    name: str
    owner: PersonRef
    description: str
    created_at: datetime
    modified_at: datetime
    config: WorkspaceConfig
    experiments: list[str] = Field(description="Ids of linked experiments.")
    sessions: int = Field(description="Launches in all.")
    usage: dict[str, Any] = Field(description="Session hours, processor hours, peak memory, disk, as last measured.")
    packages: list[dict[str, Any]] = Field(description="Packages of its environment: name, version, from the base?")
    executions: list[ExecutionRecord] = Field(description="Notebooks last run, newest first.")


class WorkspaceExport(Wire):
    """A workspace's description for another platform: no files, no secrets."""

    format: Literal["studiolo-workspace/1"] = "studiolo-workspace/1"
    exported_at: datetime
    metadata: WorkspaceMetadata
    members: list[Member]
    config_file: str = Field(description="Its configuration as the text of a workspace-config.yaml.")


class WorkspaceStats(Wire):
    """What a workspace's sessions use now and used: the sums of `stats`, `monitor` and `report`."""

    running_sessions: int
    cpu: float
    memory: int
    disk: int | None
    kernels: int
    busy_kernels: int
    session_hours: float
    launches: int
    since: datetime


class Share(Wire):
    """Something of a workspace that one member showed to the others."""

    id: str
    kind: Literal["notebook", "file"]
    path: str = Field(description="Relative to the workspace's folder.")
    shared_by: PersonRef
    at: datetime


class ShareCreate(Request):
    """Show a file of a workspace to its members. Notebooks are told by their ending."""

    path: str = Field(min_length=1, max_length=1024, examples=["notebooks/model-training.ipynb"])


class DeviceCode(Wire):
    """A sign-in begun on a machine without a browser (after RFC 8628)."""

    device_code: str = Field(description="What the program polls with; a secret.")
    user_code: str = Field(description="What the person types or compares, for example WDJB-MJHT.")
    verification_uri: str
    verification_uri_complete: str
    expires_in: int = Field(description="Seconds.")
    interval: int = Field(description="Seconds to wait between polls.")


class DeviceStart(Request):
    """Begin to sign in without a browser. `key_name` names the key that comes of it."""

    key_name: str = Field("command line", min_length=1, max_length=100)


class DevicePoll(Request):
    """Ask whether somebody has approved the code by now."""

    device_code: str = Field(max_length=100)


class PartHealth(Wire):
    """One part of the platform."""

    name: str
    ok: bool
    message: str


class AdminHealth(Wire):
    """Whether all is well, and the one thing to do if not."""

    verdict: str
    ok: bool
    parts: list[PartHealth]
    people: int
    workspaces: int
    running_sessions: int
    idle_sessions: int
    disk_total: int
    disk_free: int
