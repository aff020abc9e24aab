"""Wire models of people and what they have access to: invitations, suspension, handing over, the banner."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from studiolo.contract.models import (
    KeyInfo,
    LoginInfo,
    Person,
    PersonRef,
    Request,
    Session,
    Through,
    Wire,
    WorkspaceRef,
)
from studiolo.contract.operations import Role


class Grant(Request):
    """A role on a workspace (id, `owner/name` or name) that comes with an invitation."""

    workspace: str = Field(max_length=200, examples=["ana/churn"])
    role: Role


class InvitationCreate(Request):
    """Invite somebody. `to`: an e-mail address, or the name that is proposed to them; both are theirs to change."""

    to: str = Field(min_length=1, max_length=254, examples=["ana@example.com"])
    is_admin: bool = False
    workspaces: Annotated[list[Grant], Field(max_length=50)] = Field(default_factory=list)


class Granted(Wire):
    """A role that an invitation brings."""

    workspace: WorkspaceRef
    role: Role


class Invitation(Wire):
    """An invitation that nobody has used yet. It counts until `expires_at`; afterwards it can be renewed."""

    id: str
    to: str = Field(description="E-mail address, or the name proposed.")
    is_admin: bool
    workspaces: list[Granted]
    invited_by: PersonRef | None = Field(description="None: the operator of the machine.")
    created_at: datetime
    expires_at: datetime
    mailed_at: datetime | None = Field(description="When it was last sent by mail, by the platform itself.")


class InvitationLink(Invitation):
    """An invitation with its link, shown this once."""

    url: str
    text: str = Field(description="A text with the link, to send to the person.")
    problem: str | None = Field(None, description="Why no mail was sent, where one should have been.")


class InvitationPreview(Wire):
    """What the page asks about before somebody joins."""

    name: str = Field(description="The name proposed; empty: none.")
    invited_by: str | None
    expires_at: datetime
    is_admin: bool
    workspaces: list[Granted]


class Join(Request):
    """Join by an invitation; answers with a key, as signing in does. `token`: what stands in the link."""

    token: str = Field(max_length=200)
    name: str = Field(max_length=63, examples=["ana"])
    password: str = Field(max_length=1024)
    display_name: str | None = Field(None, max_length=200, examples=["Ana Ruiz"])
    key_name: str = Field("command line", min_length=1, max_length=100)


class PersonUpdate(Request):
    """Change what a person may do on the platform."""

    is_admin: bool


class HandOver(Request):
    """Hand over all that a person owns. `to`: name, e-mail or id of who owns it from now on."""

    to: str = Field(max_length=254)


class HandedWorkspace(Wire):
    """A workspace that changed hands; its name is another if the new owner had one of that name."""

    id: str
    name: str
    former_name: str


class HandedOver(Wire):
    """What changed hands, all at once."""

    person: PersonRef
    to: PersonRef
    workspaces: list[HandedWorkspace]


class WorkspaceAccess(Wire):
    """A workspace that a person is a member of."""

    workspace: WorkspaceRef
    role: Role
    since: datetime
    through: Through | None
    last_there_at: datetime | None = Field(description="When they last had something running in it.")


class PersonAccess(Wire):
    """All that a person can reach, and what they have open. Keys and sessions are without secrets."""

    person: Person
    workspaces: list[WorkspaceAccess]
    keys: list[KeyInfo]
    logins: list[LoginInfo]
    sessions: list[Session] = Field(description="Those that run.")


Level = Literal["info", "warning"]


class Banner(Wire):
    """What an administrator tells everybody, on every page, until it ends by itself or is taken down."""

    id: str
    text: str
    level: Level
    posted_at: datetime
    posted_by: PersonRef | None = Field(description="None: the operator of the machine.")
    until: datetime | None


class BannerPost(Request):
    """Tell everybody something, in place of what was told before. `minutes`: how long; left out: until taken down."""

    text: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        min_length=1, max_length=500, examples=["The machine is restarted at noon."]
    )
    level: Level = "info"
    minutes: int | None = Field(None, ge=1, le=60 * 24 * 366)


class CurrentBanner(Wire):
    """What everybody is told now; None: nothing."""

    banner: Banner | None
