"""Images that are made of workspaces' environments: wire models."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from studiolo.contract.models import Request, Wire

# building, pushing: under way. failed, cancelled: there is no such image, or none that was pushed.
ImageState = Literal["building", "pushing", "ready", "failed", "cancelled"]


class ImageBuild(Request):
    """Make an image of a workspace's environment."""

    base: str | None = Field(
        None,
        max_length=512,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$",
        description="What to begin from; None: the image that sessions have. One that sessions may name.",
    )
    push: bool = Field(False, description="Bring it to the administrator's registry, too.")


class EnvironmentImage(Wire):
    """An image of an environment, there or under way."""

    id: str = Field(description="The last part of its name: of its lock and, if it is not the usual one, its base.")
    name: str = Field(description="What sessions (`--image`) and other programs call it.")
    state: ImageState
    hash: str = Field(description="Of the lock that it was made of.")
    is_live: bool = Field(description="It holds what the environment holds now.")
    base: str
    size: int | None = Field(description="In bytes, with what it shares with its base.")
    made_at: datetime | None
    progress: str | None = Field(None, description="What happens now.")
    left_out: list[str] = Field(
        default_factory=list, description="What is in the environment and could not be had again, of the last build."
    )
    code: str | None = Field(None, description="Of the error that ended it.")
    message: str | None = None
