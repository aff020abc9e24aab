"""Wire models of backups."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from studiolo.contract.models import Wire


class Backup(Wire):
    """A complete backup."""

    name: str = Field(examples=["studiolo-20261121T031000Z"])
    folder: str = Field(description="Where it lies on the platform's machine.")
    began_at: datetime
    ended_at: datetime
    version: str = Field(description="Version of Studiolo that made it.")
    files: int
    workspaces: int
    people: int
    size_bytes: int = Field(description="All of its files.")
    copied_bytes: int = Field(description="What was copied for it; the rest it shares with the backup before.")
    left_out: int = Field(description="Files that could not be read; its manifest names them.")


class BackupProgress(Wire):
    """The backup that is being made, or how the last one that was asked for here ended."""

    state: Literal["running", "done", "failed", "cancelled"]
    began_at: datetime
    done_bytes: int = Field(description="Copied so far.")
    total_bytes: int = Field(description="To be copied; 0 until it is known.")
    message: str | None = Field(description="Why it failed.")


class Backups(Wire):
    """Backups on the platform's machine, newest first."""

    folder: str
    nightly_at: str | None = Field(description="Time of day (the machine's) of the nightly one.", examples=["03:10"])
    keep: int
    current: BackupProgress | None
    items: list[Backup]
