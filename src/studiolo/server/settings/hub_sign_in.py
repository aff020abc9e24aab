"""Settings of signing in with a JupyterHub: the table `[accounts.jupyterhub]`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from studiolo.engines.jupyterhub.settings import check_hub_url


class HubSignInSettings(BaseModel):
    """An existing JupyterHub (5 or newer) whose users sign in here. Passwords and links go on beside it."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        "",
        description="Where the Hub is, for browsers and for the platform: `https://hub.example.org`, with its base "
        "path if it has one. Empty: nobody signs in with a JupyterHub. It is part of who its users are here.",
    )
    client_id: str = Field(
        "service-studiolo", min_length=1, description="OAuth client that the Hub knows us as: `service-` and its name."
    )
    token_file: Path | None = Field(
        None, description="File that holds the api_token of the Hub's service for us; read each time."
    )
    create_people: bool = Field(
        False, description="Make an account for whoever signs in for the first time; else an administrator links one."
    )
    administrators: bool = Field(
        False,
        description="Whether administrators of the Hub are administrators here, as of each sign-in, and others not.",
    )
    people: dict[str, str] = Field(
        default_factory=dict, description="Accounts linked to users of the Hub: theirs = ours, by names."
    )
    timeout_seconds: float = Field(10.0, ge=1, le=60, description="How long the Hub may take to say who somebody is.")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return check_hub_url(value) if value else ""

    @model_validator(mode="after")
    def _check_whole(self) -> "HubSignInSettings":
        if self.url and self.token_file is None:
            raise ValueError("token_file must name the file that holds the token of the Hub's service")
        return self
