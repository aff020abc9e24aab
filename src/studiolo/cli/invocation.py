"""How the running command was called: the options that all commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studiolo.sdk import Studiolo


@dataclass(frozen=True, slots=True)
class Invocation:
    """The shared options. `url` None: as `studiolo.sdk.credentials` finds it."""

    program: str = "studiolo"
    json: bool = False
    verbose: bool = False
    url: str | None = None
    insecure: bool = False


_current: ContextVar[Invocation] = ContextVar("invocation", default=Invocation())  # noqa: B039 frozen


def current() -> Invocation:
    """Return how the running command was called."""
    return _current.get()


@contextmanager
def invoked(invocation: Invocation) -> Iterator[None]:
    """Make `invocation` the current one."""
    token = _current.set(invocation)
    try:
        yield
    finally:
        _current.reset(token)


def connect() -> "Studiolo":
    """Return a client for the platform that the command line or its surroundings name."""
    from studiolo.sdk import Studiolo

    called = current()
    return Studiolo(called.url, insecure=called.insecure)
