"""What running jobs use: one question for all of them together, whoever wants to know it of one."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from studiolo.contract.errors import Unavailable
from studiolo.engines.slurm.commands import Runner
from studiolo.engines.slurm.dialect import Dialect, JobUse

# Systems measure jobs every half a minute or so, and ask each job's node for it.
_REMEMBERED_SECONDS = 15.0
# Who begins a question waits so long for it; what comes later is there for the next.
_PATIENCE_SECONDS = 0.8
_UNKNOWN = JobUse(None, None, None)


class Uses:
    """Remembers the last answer; one question is under way at a time. `list_running`: ids of the jobs to ask for."""

    def __init__(self, runner: Runner, dialect: Dialect, list_running: Callable[[], Sequence[str]]) -> None:
        self._list_running = list_running
        self._runner = runner
        self._dialect = dialect
        self._known: Mapping[str, JobUse] = {}
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")

    async def find(self, job_id: str) -> JobUse:
        """Return what is known of a job."""
        now = asyncio.get_running_loop().time()
        is_due = now - self._asked_at > _REMEMBERED_SECONDS and (self._asking is None or self._asking.done())
        if is_due and (running := self._list_running()):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask(running), name="measure-jobs")
            await asyncio.wait({self._asking}, timeout=_PATIENCE_SECONDS)
        return self._known.get(job_id, _UNKNOWN)

    async def aclose(self) -> None:
        """End a question that is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self, job_ids: Sequence[str]) -> None:
        command = self._dialect.measure(job_ids)
        if command is None:
            return
        try:
            answer = await self._runner.run(command)
        except Unavailable:
            return
        # A job that ended meanwhile is a failure of the whole to some versions: what was printed counts.
        self._known = self._dialect.read_uses(answer.output)
