"""Wire models of kernels, as pages, command line and Python see them (Jupyter's own API has its own shapes)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from studiolo.contract.models import PersonRef, Reason, Request, Wire, WorkspaceRef
from studiolo.contract.resources import Resources

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
