"""Settings of backups."""

import re
from pathlib import Path

from pydantic import BaseModel, Field, field_validator


class BackupSettings(BaseModel):
    """Where backups lie, and when one is made by itself."""

    folder: Path | None = Field(
        None, description="Where backups are made; empty: `backups` in the data directory. Another disk is better."
    )
    at: str = Field(
        "", description="Time of day, by the machine's clock, of a nightly backup, such as `03:10`; empty: none."
    )
    keep: int = Field(7, ge=1, le=1000, description="So many of the newest backups in the folder are kept.")

    @field_validator("at")
    @classmethod
    def _check_time(cls, value: str) -> str:
        if value and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            raise ValueError("must be a time of day such as 03:10")
        return value
