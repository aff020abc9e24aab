"""Wire models: the JSON that REST, SDK and command line exchange. Times are aware UTC, sizes bytes."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field

from studiolo.contract.operations import Role
from studiolo.contract.resources import Isolation, MemoryDeath, Resources, UsageSample
from studiolo.contract.shape import Shape, Strict

Item = TypeVar("Item")


class Wire(Shape):
    """Base of all wire models. Requests refuse unknown members (see Request)."""


class Request(Wire, Strict):
    """Base of request bodies: an unknown member is an error, so that a typing slip is noticed."""


class Page(Wire, Generic[Item]):
    """One page of a list. `next_cursor` is None on the last page; pass it back as `cursor`."""

    items: list[Item]
    next_cursor: str | None = None
    total: int | None = Field(None, description="Number of items in all, where it is cheap to know.")


class Problem(Wire):
    """An error reply (RFC 9457, `application/problem+json`). `code` is stable; `kind` names the class."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    kind: str
    hint: str | None = None
    request_id: str | None = None


class Health(Wire):
    """Answer of the health address."""

    status: Literal["ok"] = "ok"
    version: str


class PlatformInfo(Wire):
    """What anybody may know of the platform."""

    name: str = "Studiolo"
    version: str
    address: str = Field(description="The platform's own address, without a trailing slash.")
    instance: str = Field(description="Identifies this data directory; stable.")
    isolation: str = Field(description="Isolation level of sessions: L0 to L4.")
    isolation_notice: str | None = Field(description="What people must know before they put files here.")
    package_policy: str = Field(description="What of package policies the engines enforce, in a sentence or two.")
    single_team: bool = Field(description="Sessions share the platform's origin (no names for sessions).")
    signs_in_with: str | None = Field(None, description="What people sign in with besides a password: `JupyterHub`.")


class PersonRef(Wire):
    """A person as others see them."""

    id: str
    name: str
    display_name: str


class Me(PersonRef):
    """The signed-in person."""

    email: str | None
    is_admin: bool
    has_password: bool
    scopes: list[str] | None = Field(description="The key's scopes; None with a login, which has all.")


class Person(PersonRef):
    """A person as administrators see them."""

    email: str | None
    is_admin: bool
    created_at: datetime
    last_seen_at: datetime | None
    suspended_at: datetime | None = None
    workspaces: int = Field(0, description="How many workspaces they are a member of.")
    running_sessions: int = 0
    session_hours: float = Field(0.0, description="How long their sessions ran in the last 30 days, in all.")


class PersonCreate(Request):
    """Add a person."""

    name: str = Field(examples=["ana"])
    display_name: str | None = Field(None, max_length=200, examples=["Ana Ruiz"])
    email: str | None = Field(None, max_length=254, examples=["ana@example.com"])
    is_admin: bool = False


class SignInLink(Wire):
    """A one-time sign-in link."""

    url: str
    expires_at: datetime
    person: PersonRef
    notice: str | None = Field(description="What the person must know; same text as isolation_notice.")


class SignIn(Request):
    """Sign in from a program: name (or e-mail) and password; answers with a new key."""

    name: str = Field(max_length=254)
    password: str = Field(max_length=1024)
    key_name: str = Field("command line", min_length=1, max_length=100)


class PasswordChange(Request):
    """Set a password. `current` is needed when there is one and the request comes from a key."""

    current: str | None = Field(None, max_length=1024)
    new: str = Field(max_length=1024)


class LoginInfo(Wire):
    """One signed-in browser."""

    id: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    user_agent: str
    is_current: bool


class KeyInfo(Wire):
    """An API key without its secret. A `gateway` one opens kernels alone, by Jupyter's own API."""

    id: str
    name: str
    prefix: str = Field(description="First characters of the key, to tell keys apart.")
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    kind: Literal["account", "gateway"] = "account"
    workspace_id: str | None = Field(None, description="The one workspace whose kernels a gateway key opens.")


class KeyCreate(Request):
    """Make a key. No scopes given means all that the person may hold.

    A key of kind `gateway` has the scope `kernels` alone, so that it may stand in programs and in addresses.
    """

    name: str = Field(min_length=1, max_length=100, examples=["laptop"])
    kind: Literal["account", "gateway"] = "account"
    workspace: str | None = Field(
        None, max_length=200, description="Binds a gateway key to one workspace: id, `owner/name` or name."
    )
    scopes: list[str] | None = None
    expires_in_days: int = Field(90, ge=1, le=90)


class KeyCreated(KeyInfo):
    """A new key; `key` is shown this once."""

    key: str


class Clone(Request):
    """Clone a git repository into a folder of a workspace, by https.

    `token`: a password or access token for this time only; it is not kept. `username`: where the server wants one.
    """

    url: str = Field(max_length=2000, examples=["https://github.com/pola-rs/polars-cookbook.git"])
    branch: str | None = Field(None, max_length=250)
    username: str | None = Field(None, max_length=250)
    token: str | None = Field(None, max_length=4000, repr=False)


class WorkspaceCreate(Request):
    """Create a workspace. `root`: an existing or new folder of the server's machine to use as its files.

    What `config_file` says counts where the other members leave something open.
    """

    name: str = Field(examples=["churn"])
    description: str = Field("", max_length=2000)
    root: str | None = Field(None, max_length=4096)
    profile: str | None = Field(None, max_length=63, examples=["medium"])
    resources: Resources = Field(default_factory=Resources, examples=[{"cpu": 4, "memory": "8g"}])
    environment: dict[str, Any] = Field(
        default_factory=dict, description="python_version, jupyter_version; other keys are environment variables."
    )
    security: dict[str, Any] = Field(default_factory=dict, examples=[{"trusted_channels": ["conda-forge"]}])
    config_file: str | None = Field(None, max_length=200_000, description="Text of a workspace-config.yaml.")
    engine: str | None = Field(None, max_length=32, description="Where its sessions run; left out: the default.")
    min_isolation: Isolation | None = Field(None, description="A launch with less is refused.")
    clone: Clone | None = Field(None, description="A repository to clone into it; see how that goes at its /clone.")


class WorkspaceUpdate(Request):
    """Change name or description; members left out stay."""

    name: str | None = None
    description: str | None = Field(None, max_length=2000)


class EnvironmentState(StrEnum):
    """State of a workspace's own environment."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class EnvironmentInfo(Wire):
    """The workspace's own environment."""

    state: EnvironmentState
    message: str | None = None
    python: str | None = Field(None, description="Path of its interpreter.")


class Workspace(Wire):
    """A workspace as the caller sees it."""

    id: str
    name: str
    owner: PersonRef
    description: str
    role: Role | None = Field(description="The caller's role; None for an administrator who is no member.")
    created_at: datetime
    modified_at: datetime
    path: str = Field(description="Its folder on the server's machine.")
    environment: EnvironmentInfo
    running_sessions: int
    member_count: int
    profile: str | None = None
    resources: Resources = Field(default_factory=Resources, description="What its next session may use.")
    engine: str | None = Field(None, description="Where its sessions run; None: the platform's default.")
    min_isolation: Isolation | None = Field(None, description="A launch with less is refused.")
    revision: int = Field(0, description="Counts its changes; the ETag. Send it back as If-Match.")


Through = Literal["created", "given", "invitation", "handed-over"]


class Member(Wire):
    """A person's access to a workspace."""

    person: PersonRef
    role: Role
    since: datetime
    through: Through | None = Field(None, description="How they came to it; None: not known any more.")
    given_by: PersonRef | None = Field(None, description="Who gave it, or invited them.")
    last_there_at: datetime | None = Field(None, description="When they last had something running here.")
    suspended: bool = Field(False, description="Whether they are kept out of the platform for now.")


class MemberSet(Request):
    """Give somebody a role; `person` is a name, e-mail or id."""

    person: str = Field(max_length=254)
    role: Role


class SessionState(StrEnum):
    """What a session is doing. `unknown`: the engine does not answer; nothing is concluded from that."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Reason(Wire):
    """Why a session ended or failed, in words for its person."""

    code: str = Field(description="stopped-by-person, server-exited, killed, out-of-memory, start-timeout, …")
    message: str
    at: datetime
    log_tail: list[str] = Field(default_factory=list)
    memory_peak: int | None = Field(None, description="Bytes, where it ran out of memory.")
    memory_limit: int | None = None
    hint: str | None = Field(None, description="What to do about it.")


class Step(Wire):
    """One step of a start. State: waiting, active, done, failed."""

    name: str
    state: Literal["waiting", "active", "done", "failed"]
    seconds: float | None = None


class Progress(Wire):
    """What happens now while a session starts, in its engine's words: "Pulling the image: 40 %."."""

    message: str
    waiting: bool = Field(False, description="It waits for its turn or for a place, which takes no start's time.")
    expected_start: datetime | None = Field(None, description="When a scheduler expects to begin.")
    at: datetime = Field(description="Since when this is so.")


class Activity(Wire):
    """What a session is doing, as its extension last reported. Kernels and terminals are counted."""

    reported_at: datetime
    kernels: int
    busy_kernels: int
    terminals: int
    busy_terminals: int
    connections: int = Field(description="Open kernel websockets; open but idle tabs count here only.")
    last_active_at: datetime | None
    notebook: str | None = Field(None, description="Path of the notebook last run or saved.")
    kernels_survive: bool = Field(True, description="Whether kernels outlive the session's own server.")
    environment_note: str = Field(
        "", description="What is to be known of an environment that was made where the session runs, or could not be."
    )


class WorkspaceRef(Wire):
    """A workspace as its sessions name it."""

    id: str
    name: str
    owner: str


class Session(Wire):
    """A session as the caller sees it."""

    id: str
    name: str
    workspace: WorkspaceRef
    person: PersonRef
    engine: str
    state: SessionState
    desired: Literal["running", "stopped"]
    launch: int = Field(description="Counts the launches of this session, from 1.")
    steps: list[Step]
    progress: Progress | None = Field(None, description="What its start waits for, where its engine tells.")
    reason: Reason | None
    activity: Activity | None
    has_password: bool
    isolation: str
    notebook_url: str = Field(description="Opens it in a browser: the platform's /go/{id}.")
    api_url: str = Field(description="Base address for API clients with a key: /s/{id}/.")
    created_at: datetime
    started_at: datetime | None
    ready_at: datetime | None
    ended_at: datetime | None
    profile: str | None = None
    resources: Resources = Field(default_factory=Resources, description="What this launch may use.")
    usage: UsageSample | None = Field(None, description="As last measured, within the last minute.")
    idle_stop_at: datetime | None = Field(None, description="When it will be stopped if nobody uses it.")
    ends_at: datetime | None = Field(None, description="When its time limit ends it.")
    isolation_notice: str | None = Field(None, description="What its people must know of where it runs.")
    last_death: MemoryDeath | None = Field(None, description="What of this launch last ran out of memory.")


class SessionLaunch(Request):
    """Launch a session in a workspace."""

    workspace: str | None = Field(
        None,
        max_length=4096,
        description="id, owner/name, name or folder; not needed in a workspace's address.",
    )
    name: str | None = Field(None, description="Unique in the workspace; made up when left out.")
    password: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="Asked of everybody who enters, in addition to their sign-in."
    )
    engine: str | None = Field(None, max_length=32, description="Where to run; left out: the workspace's.")
    profile: str | None = Field(None, max_length=63)
    resources: Resources = Field(default_factory=Resources, description="For this session only; over the workspace's.")


class SessionStart(Request):
    """Start or restart a session, with other resources from now on if any are named."""

    resources: Resources = Field(default_factory=Resources, examples=[{"memory": "16g"}])


class SessionStop(Request):
    """Stop a session. `note`: what its person reads with the reason."""

    note: str | None = Field(None, max_length=500, examples=["The machine is restarted at noon"])


class Snooze(Request):
    """Keep an idle session running a while longer."""

    minutes: int = Field(120, ge=1, le=24 * 60)


class SessionLog(Wire):
    """The end of a session's log."""

    lines: list[str]
    truncated: bool


class AuditEvent(Wire):
    """The record of one mutation."""

    id: str
    sequence: int
    at: datetime
    actor: PersonRef | None = Field(description="None: the platform itself or its operator.")
    via: str = Field(description="login, key, operator or platform.")
    action: str
    target: str
    workspace_id: str | None
    detail: dict[str, Any]
