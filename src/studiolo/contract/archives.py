"""Workspaces as archives, and repositories cloned into workspaces: wire models.

An archive is a zip of the workspace's files as they lie in its folder, and `.studiolo/workspace.json`
(WorkspaceArchive), which no file of a workspace can be. Any other zip can be imported too.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from studiolo.contract.models import Wire, Workspace
from studiolo.contract.operations import Role
from studiolo.contract.policies import LARGEST_DOCUMENT
from studiolo.contract.shape import Shape

DESCRIPTION = ".studiolo/workspace.json"


class ArchivedMember(Shape):
    """Somebody who had access. They are told apart by their address alone."""

    email: str = Field(max_length=254)
    role: Role


class ArchivedPolicy(Shape):
    """A revision of the workspace's own package policy that held. Where it comes in it narrows, and never widens."""

    document: str = Field(max_length=LARGEST_DOCUMENT)
    by_administrator: bool


class WorkspaceArchive(Shape):
    """What an archive says of its workspace; no secrets. `members`: only if an owner made it."""

    format: Literal["studiolo-archive/1"] = "studiolo-archive/1"
    exported_at: datetime
    version: str = Field(max_length=100, description="Version of Studiolo.")
    name: str = Field(max_length=63)
    description: str = Field("", max_length=2000)
    config_file: str = Field("", max_length=200_000, description="The text of a workspace-config.yaml.")
    packages: list[str] = Field(
        default_factory=list, max_length=5000, description="What people had installed, as `name==version`."
    )
    lock: str = Field("", max_length=8 << 20, description="The environment's lock, a pylock.toml; empty: unknown.")
    members: list[ArchivedMember] = Field(default_factory=list, max_length=1000)
    policies: list[ArchivedPolicy] = Field(
        default_factory=list, max_length=2, description="What administrators set there, then what its people did since."
    )


class Imported(Wire):
    """A workspace that was made from an archive."""

    workspace: Workspace
    files: int
    size_bytes: int
    members: list[str] = Field(description="Addresses of those who have their role again.")
    unknown_members: list[str] = Field(description="Addresses that nobody has here.")
    packages: list[str] = Field(description="What had been installed there and is not here.")
    build: int | None = Field(None, description="The build that makes the environment again from the archive's lock.")
    left_out: list[str] = Field(description="What was not taken over, and why.")


class CloneProgress(Wire):
    """How a clone goes, or how the last one ended. `none`: nothing was cloned; `interrupted`: by a restart."""

    state: Literal["none", "running", "done", "failed", "cancelled", "interrupted"]
    url: str
    folder: str = Field(description="Name of the folder in the workspace.")
    phase: str = Field(description="What git is doing, for example `Receiving objects`.")
    percent: int | None
    message: str | None = Field(description="Why it failed.")
    began_at: datetime | None
