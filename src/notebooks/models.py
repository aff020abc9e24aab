"""What the launcher hands back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResourceConfig:
    """What a session may use. `cpu_cores`: processors, `memory_gb`: GiB; what is None is the workspace's."""

    cpu_cores: float | None = None
    memory_gb: float | None = None
    gpu_count: int | None = None
    gpu_type: str | None = None


@dataclass(frozen=True, slots=True)
class NotebookSession:
    """A launched session. `notebook_url` opens it in a browser; `status` is running, starting, stopped, failed …"""

    session_id: str
    notebook_url: str
    status: str


@dataclass(frozen=True, slots=True)
class NotebookWorkspace:
    """A workspace. `workspace_id` is permanent, `name` may change."""

    workspace_id: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class WorkspaceMember:
    """A person's role in a workspace: owner, editor or viewer."""

    workspace_id: str
    user: str
    role: str


@dataclass(frozen=True, slots=True)
class SharedResource:
    """Something of a workspace that its members were shown. `resource_type`: `notebook`."""

    resource_id: str
    resource_type: str
    resource_path: str
    shared_by: str
