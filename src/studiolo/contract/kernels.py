"""Wire models of kernels, as pages, command line and Python see them (Jupyter's own API has its own shapes)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from studiolo.contract.models import PersonRef, Reason, Request, Wire, WorkspaceRef
from studiolo.contract.resources import CPU, Resources
from studiolo.contract.sizes import Size

# Jupyter's execution states, and `ended`.
KernelState = Literal["starting", "idle", "busy", "restarting", "dead", "unknown", "ended"]
Variable = Annotated[str, Field(max_length=4096)]


class KernelInfo(Wire):
    """One kernel that a person can see, in a session or headless (`session_id` None)."""

    id: str = Field(description="UUID, the same as in Jupyter's own API.")
    name: str = Field(description="Name of its kernelspec.", examples=["python3"])
    display_name: str
    workspace: WorkspaceRef
    session_id: str | None = None
    engine: str = Field("", description="Where it runs.", examples=["local", "slurm"])
    shared: bool = Field(False, description="Whether all editors of the workspace may use it; else its person alone.")
    person: PersonRef | None = Field(description="Who started it.")
    path: str | None = Field(None, description="Notebook or folder that it was started for.")
    state: KernelState
    connections: int = 0
    output: int = Field(0, description="Number of the last message in its journal.")
    started_at: datetime
    last_active_at: datetime | None = None
    ended_at: datetime | None = None
    reason: Reason | None = None
    environment: str | None = Field(None, description="Content hash of the environment that it runs in.")
    resources: Resources = Field(default_factory=Resources)
    api_url: str = Field(description="Root of Jupyter's own API for this kernel's scope, for stock clients.")


class KernelStart(Request):
    """Start a headless kernel in a workspace."""

    workspace: str = Field(description="Id, `owner/name` or name.", examples=["my-workspace"])
    name: str | None = Field(None, description="Kernelspec; None: the workspace's default.", examples=["python3"])
    path: str | None = Field(None, max_length=1000, description="Folder or notebook, relative to the workspace.")
    engine: str | None = Field(None, description="Where to run; None: as the workspace.", examples=["slurm"])
    profile: str | None = None
    resources: Resources = Field(default_factory=Resources)
    variables: dict[str, Variable] = Field(default_factory=dict, max_length=256)


class KernelOutput(Wire):
    """A stretch of a kernel's journal. `entries`: {number, at, parent, cell, message} or {gap: {…}}, oldest first."""

    last: int = Field(description="Number of the newest message there is.")
    next: int = Field(description="Ask for what comes after this number.")
    more: bool
    entries: list[dict[str, Any]]


class KernelLog(Wire):
    """The last lines that a kernel's process itself wrote (not its cells' output)."""

    lines: list[str]


class KernelSpecInfo(Wire):
    """A kernelspec that a workspace offers."""

    name: str
    display_name: str
    language: str
    environment: str | None = Field(None, description="Content hash of its environment.")
    metadata: dict[str, Any] = Field(default_factory=dict)
    is_default: bool = False
    base: str | None = Field(None, description="The one that it was made from by `KernelSpecCreate`; None: it was not.")


class KernelSpecCreate(Request):
    """A kernelspec made from one that a workspace offers: the same kernel with variables and a size of its own."""

    name: str = Field(max_length=63, description="Lower-case letters, digits, dots, dashes, underscores.")
    base: str = Field("python3", max_length=200, description="Name of the one that it is made from.")
    display_name: str | None = Field(None, max_length=200, description="What people read; None: the name.")
    variables: dict[str, Variable] = Field(default_factory=dict, max_length=256)
    cpu: CPU | None = Field(None, description="Processors that its kernels ask for, unless a start names others.")
    memory: Size | None = Field(None, description="The same of memory.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Anything; clients see it.")
