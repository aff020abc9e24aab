"""Settings of people, logins and keys."""

from datetime import timedelta

from pydantic import BaseModel, Field

from studiolo.server.settings.durations import Duration
from studiolo.server.settings.hub_sign_in import HubSignInSettings


class AccountSettings(BaseModel):
    """How long sign-ins last and how guessing is slowed."""

    login_lifetime: Duration = Field(timedelta(hours=12), description="A login ends after this, whatever happens.")
    login_idle: Duration = Field(timedelta(hours=1), description="A login ends when unused for this long.")
    sign_in_link_lifetime: Duration = Field(timedelta(minutes=15), description="A sign-in link's life.")
    invitation_lifetime: Duration = Field(timedelta(days=7), description="A first sign-in link's life.")
    failures_before_delay: int = Field(5, ge=1, description="Failed sign-ins per account before it must wait.")
    failure_ceiling: int = Field(100, ge=1, description="Failed sign-ins per account before it is locked for a day.")
    password_min_length: int = Field(10, ge=8, description="Shortest new password, in characters.")
    jupyterhub: HubSignInSettings = Field(default_factory=HubSignInSettings)
