"""Settings of the engine `jupyterhub`: the table `[engines.jupyterhub]`."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*")


class HubSettings(BaseModel):
    """An existing JupyterHub (5 or newer) that runs our sessions as named servers of its users."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="Where the Hub is: `https://hub.example.org`, with its base path if it has one.")
    token_file: Path = Field(description="File that holds the token of the Hub's service for us; read each time.")
    user: str = Field(
        "{person}",
        max_length=255,
        description="A person's name at the Hub; `{person}` is the name here. Empty: only those in `users`.",
    )
    users: dict[str, str] = Field(
        default_factory=dict, description="People with another name at the Hub: ours = theirs."
    )
    create_users: bool = Field(
        False, description="Make users that the Hub does not know; the token needs the scope admin:users for it."
    )
    isolation: Literal["L0", "L1", "L2", "L3", "L4"] = Field(
        "L0", description="What this site's Hub guarantees between servers, by the levels of the threat model."
    )
    poll_seconds: float = Field(
        5.0, ge=1, le=60, description="How often the Hub is asked for all servers at once: how late an end is noticed."
    )
    timeout_seconds: float = Field(
        60.0, ge=30, le=600, description="How long the Hub may take to answer; it holds a start for up to 10 s itself."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return check_hub_url(value)

    @field_validator("user")
    @classmethod
    def _check_user(cls, value: str) -> str:
        if value and "{person}" not in value:
            raise ValueError("without {person} in it all people would be one user of the Hub")
        return value

    @property
    def upstream(self) -> str:
        """The Hub's proxy, as `Observation.upstream` has servers that are asked by a front."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def check_hub_url(value: str) -> str:
    """Return a Hub's address without a slash at the end; raises ValueError for what is none."""
    value = value.rstrip("/")
    if not _URL.fullmatch(value) or not urlsplit(value).hostname:
        raise ValueError("this is no address such as https://hub.example.org or http://10.0.0.5:8000/jupyter")
    # Raises ValueError for a port that is none.
    _ = urlsplit(value).port
    return value
