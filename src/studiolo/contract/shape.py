"""The base of all wire models."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Frozen."""

    model_config = ConfigDict(frozen=True)
