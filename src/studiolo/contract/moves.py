"""A workspace on its way to another engine: wire models."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from studiolo.contract.models import Request, Wire

# none: it never moved. copying, checking: files are on their way, nothing can start. moved: it is on the other engine,
# and what it left is kept until that is confirmed. releasing: what it left is being removed. returning: it is being
# taken back. done, cancelled, failed: over.
MoveState = Literal["none", "copying", "checking", "moved", "releasing", "returning", "done", "cancelled", "failed"]


class Move(Request):
    """Move a workspace to another engine."""

    engine: str = Field(min_length=1, max_length=32, description="Where to, as `studiolo engines` lists them.")


class MoveProgress(Wire):
    """How a move goes, or how the last one ended. Files include folders and links; bytes are of files."""

    state: MoveState
    came: str = Field(description="The engine that it leaves.")
    goes: str = Field(description="The engine that it goes to.")
    asked_by: str
    files_total: int | None = Field(description="None until they were counted.")
    files_done: int
    bytes_total: int | None
    bytes_done: int
    percent: int | None
    code: str | None = Field(description="Of the error that ended it.")
    message: str | None = Field(description="Why it failed, what it waits for, or what is to be done next.")
    began_at: datetime | None
    ended_at: datetime | None
