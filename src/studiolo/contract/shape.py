"""The base of all wire models."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Frozen. Its validator is made when it is first used: a command imports all of them and needs a few."""

    model_config = ConfigDict(frozen=True, defer_build=True)
