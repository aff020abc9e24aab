"""Settings of what the platform itself connects to on behalf of people."""

from pydantic import BaseModel, Field


class EgressSettings(BaseModel):
    """Which inside addresses are opened."""

    allow: list[str] = Field(
        default_factory=list,
        description="Hosts with port, such as `git.example.internal:443`, that repositories may be cloned from "
        "although they lie inside: on this machine or in a private network; those also by plain http.",
    )
