"""Settings of workspaces' files."""

from datetime import timedelta

from pydantic import BaseModel, Field

from studiolo.server.settings.durations import Duration


class FileSettings(BaseModel):
    """How long what was changed or deleted can come back."""

    keep_versions: Duration = Field(
        timedelta(days=30), description="What a file was is kept this long after it was changed."
    )
    keep_trash: Duration = Field(timedelta(days=30), description="Deleted files are kept this long.")
