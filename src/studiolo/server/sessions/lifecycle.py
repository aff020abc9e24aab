"""What to do next with a session, and what an observation means: pure decisions over plain data."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Literal

from studiolo.contract.models import SessionState
from studiolo.engines.base import Observation, Phase


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session as its row stands. `handle_launch`: the launch that the stored handle belongs to.

    `started_at`: when the engine took it on, or gave it its place; waiting for an environment or for a place is no
    part of a slow start. `waits`: it was waiting for a place when it was last seen.
    """

    desired: Literal["running", "stopped"]
    launch: int
    handle_launch: int | None
    state: SessionState
    started_at: datetime | None
    stop_code: str | None = None
    waits: bool = False


class Next(Enum):
    """The one thing to do now."""

    START = auto()
    # Look, and settle what is seen.
    OBSERVE = auto()
    # Look, and if it still runs, end it; then look again.
    STOP = auto()
    # Nothing runs and nothing should: settle as stopped.
    SETTLE = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to write. `forget_handle`: the object is gone; `ended`: this session's end is to be recorded."""

    state: SessionState
    forget_handle: bool = False
    ended: bool = False
    gives_up: bool = False
    look_again: timedelta | None = None


_SETTLED = (SessionState.STOPPED, SessionState.FAILED)
_WHILE_STARTING = timedelta(seconds=2)
_WHILE_PENDING = timedelta(seconds=5)
_WHILE_STOPPING = timedelta(seconds=1)
_WHILE_UNKNOWN = timedelta(seconds=5)


def decide_next(row: Wanted) -> Next:
    """Say what to do. A handle of an earlier launch is ended before the wanted launch begins."""
    has_handle = row.handle_launch is not None
    if has_handle and (row.desired == "stopped" or row.handle_launch != row.launch):
        return Next.STOP
    if row.desired == "running":
        return Next.OBSERVE if has_handle else Next.START
    return Next.NOTHING if row.state in _SETTLED else Next.SETTLE


def decide_outcome(row: Wanted, seen: Observation, now: datetime, start_timeout: timedelta) -> Outcome:
    """Say what an observation means for the session.

    An engine that does not answer never ends a session (promise R6); a start that takes too long is given up.
    """
    replaced = row.handle_launch != row.launch
    if seen.phase is Phase.UNKNOWN:
        return Outcome(SessionState.UNKNOWN, look_again=_WHILE_UNKNOWN)
    if seen.phase is Phase.ENDED:
        if replaced and row.desired == "running":
            return Outcome(SessionState.STARTING, forget_handle=True, look_again=timedelta(0))
        failed = row.desired == "running" and row.state is SessionState.STARTING
        by_itself = row.desired == "running"
        crashed = by_itself and seen.exit is not None and seen.exit.code != 0
        state = SessionState.FAILED if failed or crashed or row.stop_code == "start-timeout" else SessionState.STOPPED
        return Outcome(state, forget_handle=True, ended=True)
    if row.desired == "stopped" or replaced:
        stopping = SessionState.STOPPING if row.desired == "stopped" else SessionState.STARTING
        return Outcome(stopping, look_again=_WHILE_STOPPING)
    if seen.phase is Phase.READY:
        return Outcome(SessionState.RUNNING)
    if seen.phase is Phase.PENDING:
        return Outcome(SessionState.STARTING, look_again=_WHILE_PENDING)
    if not row.waits and row.started_at is not None and now - row.started_at > start_timeout:
        return Outcome(SessionState.STOPPING, gives_up=True, look_again=timedelta(0))
    return Outcome(SessionState.STARTING, look_again=_WHILE_STARTING)
