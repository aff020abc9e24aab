"""Sessions as jobs of a batch system, each in its launch's folder on a file system that the nodes share."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from studiolo.contract.errors import Unavailable
from studiolo.engines import launch_files, logs
from studiolo.engines.base import AskWanted, Exit, Handle, Machine, Observation, Phase, Storage, Usage, WorkloadSpec
from studiolo.engines.plugins import EngineGround
from studiolo.engines.slurm.commands import Runner, failed
from studiolo.engines.slurm.dialect import Command, Dialect, Job, JobState, UnreadableAnswerError
from studiolo.engines.slurm.judging import explain, forgotten, judge
from studiolo.engines.slurm.launches import JobLaunch, Seen
from studiolo.engines.slurm.machine import Nodes
from studiolo.engines.slurm.queue import Listing, Queue
from studiolo.engines.slurm.requests import Requests
from studiolo.engines.slurm.settings import BatchSettings
from studiolo.engines.slurm.submitting import Submitter
from studiolo.engines.slurm.usage import Uses

# How often a session that is starting is looked at: its files only, not the queue.
_STARTING_SECONDS = 0.1
_BEFORE_RUNNING = {JobState.WAITING, JobState.PREPARING}
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class BatchEngine:
    """Runs each workload as one job. Implements Engine, Watches, Logs, Measures, Sweeps, Forgets and Closes.

    All jobs run as one account, so that sessions are no more apart than processes of one account are: L0.
    """

    name = "slurm"
    isolation = "L0"
    storage: Storage = "shared"
    runs_images = False
    hosts_kernels = True

    def __init__(self, ground: EngineGround, settings: BatchSettings, dialect: Dialect, runner: Runner) -> None:
        self._dialect = dialect
        untried = f"Its commands for {dialect.title} are written by the manual and were never tried on a real one."
        self.remark = "" if dialect.is_tried else untried
        self._settings = settings
        self._runner = runner
        self._queue = Queue(runner, dialect, settings.poll_seconds)
        self._uses = Uses(runner, dialect, self._list_running)
        self._nodes = Nodes(runner, dialect, settings.partition)
        self._requests = Requests(ground, settings, dialect)
        self._submitter = Submitter(runner, dialect, self._queue, self._requests)

    async def start(self, spec: WorkloadSpec) -> Handle:
        """See Engine.start. A job that the system refuses has ended, with what the system said."""
        launch = self._requests.launch(spec.workload_id, spec.launch)
        try:
            job_id = await self._submitter.find_or_submit(spec, launch)
        except OSError as exc:
            raise _no_files(exc) from exc
        return {"workload_id": spec.workload_id, "launch": spec.launch, "job": job_id}

    async def observe(self, handle: Handle) -> Observation:
        """See Engine.observe."""
        launch = self._launch(handle)
        try:
            seen = await asyncio.to_thread(launch.look)
            if seen.end is not None:
                return Observation(Phase.ENDED, exit=seen.end)
            observed = await self._judge(handle, launch, seen)
            if observed.exit is None:
                return observed
            end = await asyncio.to_thread(launch.note_end, observed.exit)
        except OSError as exc:
            return Observation(Phase.UNKNOWN, message=f"The session's files cannot be reached: {exc.strerror}.")
        self._submitter.submitted.pop(handle["job"], None)
        return Observation(Phase.ENDED, exit=end)

    async def stop(self, handle: Handle, *, grace: timedelta) -> None:
        """See Engine.stop. Asked again long after its grace, the system ends the job for good."""
        launch = self._launch(handle)
        job = self._own_job(handle, launch, await self._list_now())
        if job is None or job.state is JobState.ENDED:
            return
        try:
            is_overdue = await asyncio.to_thread(launch.note_stop, grace.total_seconds())
        except OSError as exc:
            raise _no_files(exc) from exc
        is_asked = job.state is JobState.RUNNING and not is_overdue
        await self._end(self._dialect.ask_to_end(job.id) if is_asked else self._dialect.end(job.id))

    async def watch(self, handle: Handle) -> AsyncIterator[None]:
        """See Watches.watch. Looks at the launch's files; the queue is listed once for all who watch."""
        launch, known = self._launch(handle), (Observation(Phase.UNKNOWN), -1)
        while True:
            observed = await self.observe(handle)
            seen = (observed, launch_files.last_death(launch.files))
            if seen != known:
                known = seen
                yield
            if observed.phase is Phase.ENDED:
                return
            is_starting = observed.phase is Phase.STARTING or handle["job"] in self._submitter.submitted
            await self._queue.wait(_STARTING_SECONDS if is_starting else self._settings.poll_seconds)

    async def tail(self, handle: Handle, *, lines: int) -> list[str]:
        """See Logs.tail. Before the session has a log: what the job's script printed."""
        launch = self._launch(handle)
        said = await asyncio.to_thread(logs.tail, launch.files.log, lines)
        return said or await asyncio.to_thread(logs.tail, launch.log, lines)

    def follow(self, handle: Handle, *, lines: int) -> AsyncIterator[str]:
        """See Logs.follow."""
        launch = self._launch(handle)
        return logs.follow(launch.files.log, lines=lines, is_running=lambda: not launch.has_ended)

    async def measure(self, handle: Handle) -> Usage | None:
        """See Measures.measure. Numbers are as old as the last question for all jobs together."""
        launch = self._launch(handle)
        try:
            seen = await asyncio.to_thread(launch.look)
            if not seen.has_begun or seen.exit is not None or seen.end is not None:
                return None
            deaths = await asyncio.to_thread(launch_files.list_deaths, launch.files)
        except OSError:
            return None
        use = await self._uses.find(handle["job"])
        return Usage(datetime.now(UTC), use.cpu_seconds, use.memory, use.memory_peak, None, tuple(deaths))

    async def describe(self) -> Machine:
        """See Measures.describe: what all nodes together have. Raises Unavailable (`engine-unavailable`)."""
        return await self._nodes.describe()

    async def sweep(self, ask_wanted: AskWanted) -> list[str]:
        """See Sweeps.sweep. Names are `<workload id>.<launch>`."""
        living = [job for job in (await self._list_now()).jobs.values() if job.state is not JobState.ENDED]
        ours = {key: job for job in living if (key := self._requests.read_name(job.name)) is not None}
        wanted = await ask_wanted() if ours else set()
        swept = []
        for (workload_id, number), job in ours.items():
            if (workload_id, number) not in wanted:
                await self._end(self._dialect.end(job.id))
                swept.append(f"{workload_id}.{number}")
        return swept

    async def forget(self, workload_id: str) -> None:
        """See Forgets.forget."""
        await asyncio.to_thread(shutil.rmtree, self._requests.folder(workload_id), ignore_errors=True)

    async def aclose(self) -> None:
        """See Closes.aclose."""
        await self._queue.aclose()
        await self._nodes.aclose()
        await self._uses.aclose()
        await self._runner.aclose()

    async def _judge(self, handle: Handle, launch: JobLaunch, seen: Seen) -> Observation:
        listing = await self._queue.look()
        job = self._own_job(handle, launch, listing)
        if seen.port is not None and listing.failure is None and (job is None or job.state in _BEFORE_RUNNING):
            # The server was quicker than our listing.
            listing = await self._queue.look(since=listing.begun)
            job = self._own_job(handle, launch, listing)
        if listing.failure is not None and (seen.exit is None or seen.is_vague):
            return Observation(Phase.UNKNOWN, message=listing.failure)
        if job is None and seen.exit is None and listing.begun <= self._submitter.submitted.get(handle["job"], 0):
            return Observation(Phase.PENDING, message="The job has just been submitted.")
        upstream, kernels = (self._upstream(job, port) for port in (seen.port, seen.kernels_port))
        judged = judge(seen, job, upstream=upstream, kernels=kernels, now=datetime.now(UTC))
        if judged is None:
            return Observation(Phase.ENDED, exit=await self._ask_records(handle, launch, seen))
        if judged.phase is Phase.READY:
            self._submitter.submitted.pop(handle["job"], None)
        return judged

    async def _ask_records(self, handle: Handle, launch: JobLaunch, seen: Seen) -> Exit:
        """Return how a job ended that the queue has forgotten, from the system's records where it keeps them."""
        now, job = datetime.now(UTC), None
        command = self._dialect.account(handle["job"]) if self._settings.accounting and handle["job"] else None
        if command is not None:
            try:
                answer = await self._runner.run(command)
                job = None if answer.code else self._dialect.read_account(answer.output)
            except (Unavailable, UnreadableAnswerError):
                job = None
        if job is None or job.name != self._requests.job_name(launch) or job.state is not JobState.ENDED:
            return forgotten(seen, now=now)
        return explain(job, seen, now=now)

    def _list_running(self) -> list[str]:
        """Return the ids of our jobs that ran when the queue was last listed."""
        running = (job for job in self._queue.known.values() if job.state is JobState.RUNNING)
        return [job.id for job in running if self._requests.read_name(job.name) is not None]

    async def _list_now(self) -> Listing:
        listing = await self._queue.look(since=asyncio.get_running_loop().time())
        if listing.failure is not None:
            raise Unavailable("engine-unavailable", listing.failure, hint="It is asked again by itself.")
        return listing

    async def _end(self, command: Command) -> None:
        answer = await self._runner.run(command)
        if answer.code and not self._dialect.is_gone(answer.error):
            raise failed(command, answer)
        self._queue.hasten()

    def _own_job(self, handle: Handle, launch: JobLaunch, listing: Listing) -> Job | None:
        """Return the launch's job. Ids come again, for other people's jobs; with the name they do not."""
        job = listing.jobs.get(handle["job"])
        return job if job is not None and job.name == self._requests.job_name(launch) else None

    def _upstream(self, job: Job | None, port: int | None) -> str | None:
        """Return what the front door dials. The host is the scheduler's word: a session may name only its port."""
        if job is None or port is None or not _HOST.fullmatch(job.host):
            return None
        return f"{self._settings.node_address.replace('{host}', job.host)}:{port}"

    def _launch(self, handle: Handle) -> JobLaunch:
        return self._requests.launch(handle["workload_id"], handle["launch"])


def _no_files(exc: OSError) -> Unavailable:
    return Unavailable(
        "engine-unavailable",
        "The session's files on the shared file system cannot be reached, so nothing can be done with it now.",
        hint="See that the file system is mounted, not full, and can be written.",
        detail=str(exc),
    )
