"""What the nodes of a batch system have, asked beside whoever wants to know it."""

import asyncio

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Machine
from studiolo.engines.slurm.commands import Runner
from studiolo.engines.slurm.dialect import Dialect, UnreadableAnswerError

# Less than those who ask wait; what comes later is there for the next.
_PATIENCE_SECONDS = 0.8
_REMEMBERED_SECONDS = 10.0


class Nodes:
    """Remembers the last answer for a while; one question is under way at a time."""

    def __init__(self, runner: Runner, dialect: Dialect, partition: str | None) -> None:
        self._runner = runner
        self._dialect = dialect
        self._partition = partition
        self._asking: asyncio.Task[Machine] | None = None
        self._asked_at = float("-inf")

    async def describe(self) -> Machine:
        """Return what the nodes have. Raises Unavailable (`engine-unavailable`), also while nothing is known yet."""
        now = asyncio.get_running_loop().time()
        asking = self._asking
        if asking is None or (asking.done() and now - self._asked_at > _REMEMBERED_SECONDS):
            asking = self._asking = asyncio.create_task(self._ask(), name="describe-nodes")
            self._asked_at = now
        await asyncio.wait({asking}, timeout=_PATIENCE_SECONDS)
        if not asking.done():
            raise Unavailable(
                "engine-unavailable",
                f"The batch system did not answer within {_PATIENCE_SECONDS:g} s.",
                hint="It is asked again by itself.",
            )
        return asking.result()

    async def aclose(self) -> None:
        """End a question that is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})
            if not self._asking.cancelled():
                # Else its error counts as never heard.
                self._asking.exception()

    async def _ask(self) -> Machine:
        commands = self._dialect.describe(self._partition)
        # A system that is not asked for its nodes is asked for its jobs: whether it answers is said too.
        if not commands:
            await self._runner.ask(self._dialect.list_jobs())
        outputs = [await self._runner.ask(command) for command in commands]
        try:
            return self._dialect.read_machine(outputs)
        except (UnreadableAnswerError, ValueError) as exc:
            raise Unavailable(
                "engine-unavailable",
                "What the batch system says of its nodes cannot be read.",
                hint="Its version may not be known yet.",
                detail=str(exc),
            ) from exc
