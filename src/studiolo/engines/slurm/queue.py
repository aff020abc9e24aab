"""The queue of a batch system as last seen: one listing for all jobs, shared by all who ask."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from studiolo.contract.errors import Unavailable
from studiolo.engines.slurm.commands import Runner
from studiolo.engines.slurm.dialect import Dialect, Job, UnreadableAnswerError

# After a submission or an end the queue changes soon: these are the pauses before the next listings, in seconds.
_SOON = (0.3, 0.5, 1.0)
# Nobody waits longer for one listing; the command goes on for whoever asks next.
_PATIENCE_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Listing:
    """All jobs of the account by id. `begun`: by the event loop's clock; `failure`: why there are none, a sentence."""

    begun: float
    jobs: Mapping[str, Job] = field(default_factory=dict)
    failure: str | None = None


class Queue:
    """Lists jobs at most once per `poll_seconds`, sooner after `hasten`, whoever asks."""

    def __init__(self, runner: Runner, dialect: Dialect, poll_seconds: float) -> None:
        self._runner = runner
        self._dialect = dialect
        self._poll_seconds = poll_seconds
        self._last = Listing(begun=float("-inf"), failure="The queue has not been listed yet.")
        self._due = float("-inf")
        self._soon: deque[float] = deque()
        self._listing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def look(self, *, since: float = float("-inf")) -> Listing:
        """Return the last listing; a new one when that is due, or did not begin after `since` (the loop's clock)."""
        clock = asyncio.get_running_loop().time
        patience = clock() + _PATIENCE_SECONDS
        while clock() < patience and (self._last.begun <= since or clock() >= self._due):
            # One that is under way may have begun too early: then another follows it.
            if self._listing is None:
                self._listing = asyncio.create_task(self._list(), name="list-jobs")
            await asyncio.wait({self._listing}, timeout=patience - clock())
        if clock() >= patience:
            return Listing(begun=clock(), failure=f"The batch system did not answer within {_PATIENCE_SECONDS:g} s.")
        return self._last

    @property
    def known(self) -> Mapping[str, Job]:
        """The jobs of the last listing."""
        return self._last.jobs

    def hasten(self) -> None:
        """List sooner, a few times, and wake who waits: something has been done that changes the queue."""
        self._soon = deque(_SOON)
        self._due = min(self._due, asyncio.get_running_loop().time() + self._soon.popleft())
        self._tell()

    async def wait(self, seconds: float) -> None:
        """Return when there is news, or after `seconds`, or when the next listing is due."""
        news, pause = self._news, self._due - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(seconds, max(pause, 0.05))):
                await news.wait()
        except TimeoutError:
            return

    async def aclose(self) -> None:
        """End a listing that is under way."""
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.wait({self._listing})

    async def _list(self) -> None:
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            output = await self._runner.ask(self._dialect.list_jobs())
            self._last = Listing(begun, {job.id: job for job in self._dialect.read_jobs(output)})
        except Unavailable as exc:
            self._last = Listing(begun, failure=exc.message)
        except UnreadableAnswerError as exc:
            self._last = Listing(begun, failure=f"The batch system's answer cannot be read: {exc}.")
        finally:
            self._due = clock() + (self._soon.popleft() if self._soon else self._poll_seconds)
            self._listing = None
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
