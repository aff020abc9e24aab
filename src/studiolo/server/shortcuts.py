"""Opens shortcuts past the front door's question for those who were let in just now (docs/decisions/004)."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog

from studiolo.server.sessions.inside import ask_session

_log = structlog.get_logger(__name__)
# A right that ended unseen (an expiry, another process's change) still works this long, no longer.
OPEN_SECONDS = 1.5
# Those who come now and then are asked about each time: nothing is gained by a shortcut.
_WORTH_IT = 4
_TIMEOUT_SECONDS = 2.0
_MOST = 10_000
_IDENTITY = ("X-Studiolo-Person", "X-Studiolo-Auth", "X-Studiolo-Login")


@dataclass(slots=True)
class _Known:
    """A way in that was used. `target`: the session's socket, once it has told it; of one `upstream` only."""

    upstream: str
    uses: int = 0
    target: str | None = None
    asking: bool = False


def _checked(target: str, upstream: str) -> str:
    """Return `target`, a socket beside the session's own; raises ValueError for another, where no front door should go.

    Sessions of other accounts (containers) keep nothing at that place, so that none of their words leads anywhere.
    """
    if Path(target).parent != Path(upstream.removeprefix("unix/")).with_suffix(""):
        raise ValueError(f"{target[:200]!r} is not the session's own")
    return target


class Shortcuts:
    """Links in `folder`, named by session and what only the holder sends, to sockets that are that person's.

    A link stands for OPEN_SECONDS at most after an answer; `close_all` removes all at once and is called after each
    change that could have taken somebody's right away.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Known] = {}
        self._open: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """Make the folder and remove what an earlier process left open. Call before the first request."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.iterdir():
            left.unlink(missing_ok=True)

    def note(self, session_id: str, holder: str, answer: Mapping[bytes, bytes]) -> None:
        """Say that the holder was let in just now; `answer`: the question's headers. Never fails, never waits."""
        name = f"{session_id}.{holder}"
        if name in self._open:
            return
        upstream = answer[b"x-studiolo-upstream"].decode()
        known = self._known.get(name)
        if known is None or known.upstream != upstream:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[name] = _Known(upstream)
        if known.target is not None:
            self._link(name, known.target)
            return
        known.uses += 1
        if known.uses >= _WORTH_IT and not known.asking and upstream.startswith("unix/"):
            known.asking = True
            task = asyncio.get_running_loop().create_task(self._ask(known, session_id, dict(answer)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close_all(self) -> None:
        """Close all shortcuts: the next request of each is asked about."""
        while self._open:
            self._unlink(next(iter(self._open)))

    async def _ask(self, known: _Known, session_id: str, answer: dict[bytes, bytes]) -> None:
        """Have the session open a socket; the answer is used from the next question on, which looks anew."""
        secret = answer[b"x-studiolo-secret"].decode()
        identity = {name: answer[name.lower().encode()].decode() for name in _IDENTITY}
        try:
            reply = await ask_session(
                session_id, known.upstream, secret, "shortcut", identity, seconds=_TIMEOUT_SECONDS
            )
            known.target = _checked(str(reply.json()["socket"]), known.upstream)
        except (httpx.HTTPError, ValueError, KeyError) as exc:
            # The way by the question goes on working. `asking` stays: it is not tried again for this launch.
            _log.warning("no-shortcut", session=session_id, why=repr(exc))

    def _link(self, name: str, target: str) -> None:
        # The front door looks for the file, which must not be a socket itself, and takes the link beside it.
        try:
            (self._folder / f"{name}.s").symlink_to(target)
            (self._folder / name).touch(0o600)
        except OSError:
            self._unlink(name)
            return
        self._open.add(name)
        asyncio.get_running_loop().call_later(OPEN_SECONDS, self._unlink, name)

    def _unlink(self, name: str) -> None:
        self._open.discard(name)
        for path in (self._folder / name, self._folder / f"{name}.s"):
            with contextlib.suppress(OSError):
                path.unlink()
