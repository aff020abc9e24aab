"""Settings of workspaces and their environments."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field, field_validator

from studiolo.server.settings.durations import Duration


class WorkspaceSettings(BaseModel):
    """Where workspaces may live."""

    allowed_roots: list[Path] = Field(
        default_factory=list,
        description="Folders under which members may use a folder of the machine as a workspace. "
        "Administrators may use any folder but the platform's own and the system's.",
    )
    import_max_bytes: int = Field(
        2 * 1024**3, ge=1, description="Most bytes that an imported archive, unpacked, or a cloned repository may hold."
    )
    import_max_entries: int = Field(50_000, ge=1, description="Most files and folders of an imported archive.")
    clone_timeout: Duration = Field(timedelta(minutes=30), description="A clone that takes longer is ended.")
    trash_retention: Duration = Field(timedelta(days=30), description="Deleted workspaces are kept this long.")


class EnvironmentSettings(BaseModel):
    """The default notebook environment."""

    python: str = Field("", description="Interpreter of the default environment; empty: the one that runs Studiolo.")
    lock_file: Path | None = Field(
        None, description="A requirements file with hashes to use instead of the shipped default environment."
    )
    build_timeout: Duration = Field(timedelta(minutes=20), description="Longest build of the default environment.")

    @field_validator("lock_file")
    @classmethod
    def _check_lock(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"{value} is no file")
        return value
