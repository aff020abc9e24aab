"""What the Hub says of servers, and what it means: pure functions over its answers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from studiolo.engines.base import Exit, Observation, Phase
from studiolo.engines.jupyterhub.names import Key

# What a front door may put before a path: the Hub escapes all else in its addresses.
_PREFIX = re.compile(r"/(?:[A-Za-z0-9._~@%+-]+/)+")
_TEXT_LENGTH = 256


class ServerModel(BaseModel):
    """What we read of a server in the Hub's answers, as in HubServer."""

    url: str = ""
    ready: bool = False
    pending: str | None = None


class UserModel(BaseModel):
    """What we read of a user. `servers` by name; the default one's is empty."""

    name: str
    servers: dict[str, ServerModel] = Field(default_factory=dict)


class Page(BaseModel):
    """A page of users, as the Hub answers those who accept `application/jupyterhub-pagination+json`."""

    class Next(BaseModel):
        """Where the next page begins."""

        offset: int

    class Pagination(BaseModel):
        """What the Hub says of the listing."""

        next: "Page.Next | None" = None

    items: list[UserModel]
    pagination: Pagination = Field(alias="_pagination")


class ProgressEvent(BaseModel):
    """An event of a server's progress stream."""

    message: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class HubServer:
    """A server of ours or of others. `url`: its path, `/user/NAME/SERVER/`, an address at Hubs with a domain for each
    user; `pending`: spawn, stop or None.
    """

    key: Key
    url: str
    ready: bool
    pending: str | None

    @property
    def is_active(self) -> bool:
        """Whether it runs, or is about to run or to end."""
        return self.ready or self.pending is not None


@dataclass(frozen=True, slots=True)
class StartNews:
    """What the Hub told last of a start. `failed`: it gave up."""

    message: str
    failed: bool = False


def read_servers(user: UserModel) -> Iterator[HubServer]:
    """Read a user's servers; the default one's name is empty."""
    for name, model in user.servers.items():
        yield HubServer(Key(user.name, name), model.url, model.ready, model.pending or None)


def is_prefix(url: str) -> bool:
    """Tell whether a path is a server's own: plain, absolute, without steps up."""
    return bool(_PREFIX.fullmatch(url)) and not {".", ".."} & set(url.split("/"))


def clip(text: object) -> str:
    """Return foreign text as one line of bounded length, without a full stop at its end."""
    words = " ".join(str(text or "").split())
    return "".join(c for c in words if c.isprintable())[:_TEXT_LENGTH].rstrip(".")


def judge(server: HubServer | None, news: StartNews | None, *, asked_to_stop: bool, upstream: str) -> Observation:
    """Say what a server's model means for its workload. A start's time is the Hub's to limit: it is PENDING."""
    if server is None:
        return _ended("vanished", "The JupyterHub knows no server of this launch.")
    if server.ready:
        return Observation(Phase.READY, upstream=upstream)
    if server.pending == "spawn":
        message = news.message if news and news.message else "The JupyterHub starts the server"
        return Observation(Phase.PENDING, message=f"{message}.")
    if server.pending is not None:
        return Observation(Phase.STARTING, message="The JupyterHub is ending the server.")
    if asked_to_stop:
        return _ended("stopped", "The session was stopped.")
    if news is not None and news.failed:
        return _ended("never-ready", f"The JupyterHub could not start the server: {news.message or 'it says no more'}.")
    return _ended(
        "server-exited",
        "The server ended at the JupyterHub: its person or the Hub's own idle stop ended it there, or it failed; "
        "the Hub does not tell which.",
    )


def _ended(reason: str, message: str) -> Observation:
    return Observation(Phase.ENDED, exit=Exit(reason, message, datetime.now(UTC)))
