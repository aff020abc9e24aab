"""Submitting a launch's job once, however often it is asked for and whenever we went down meanwhile."""

import asyncio
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.engines.base import Exit, WorkloadSpec
from studiolo.engines.slurm.commands import Runner, failed, first_line, unavailable
from studiolo.engines.slurm.dialect import Dialect, Job, Submission, UnreadableAnswerError
from studiolo.engines.slurm.launches import JobLaunch
from studiolo.engines.slurm.queue import Queue
from studiolo.engines.slurm.requests import Requests


class Submitter:
    """Submits jobs. `submitted` says when, by the loop's clock: an older listing does not know the job."""

    def __init__(self, runner: Runner, dialect: Dialect, queue: Queue, requests: Requests) -> None:
        self._runner = runner
        self._dialect = dialect
        self._queue = queue
        self._requests = requests
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.submitted: dict[str | None, float] = {}

    async def find_or_submit(self, spec: WorkloadSpec, launch: JobLaunch) -> str | None:
        """Return the id of the launch's job; None when it ended before it had one: it was refused.

        Raises Unavailable (`engine-unavailable`), OSError.
        """
        lock = self._locks.setdefault(launch.name, asyncio.Lock())
        async with lock:
            was_asked, job_id = await asyncio.to_thread(launch.find_job)
            if job_id is not None or (await asyncio.to_thread(launch.look)).end is not None:
                return job_id
            if was_asked:
                # Between asking and noting the answer we went down, or the answer did not come.
                job = await self._find_by_name(launch)
                if job is not None:
                    await asyncio.to_thread(launch.note_job, job.id)
                    return job.id
                if (await asyncio.to_thread(launch.look)).has_begun:
                    return None
            return await self._prepare_and_submit(spec, launch)

    async def _prepare_and_submit(self, spec: WorkloadSpec, launch: JobLaunch) -> str | None:
        try:
            submission = self._requests.submission(spec, launch)
        except InvalidInput as exc:
            await self._refuse(launch, exc.message.removesuffix("."))
            return None
        except ValueError as exc:
            await self._refuse(launch, f"The job cannot be written: {exc}")
            return None
        await asyncio.to_thread(self._requests.write, spec, launch)
        await asyncio.to_thread(launch.note_job, None)
        return await self._submit(submission, launch)

    async def _submit(self, submission: Submission, launch: JobLaunch) -> str | None:
        command = self._dialect.submit(submission)
        answer = await self._runner.run(command)
        if answer.code:
            if self._dialect.is_refusal(answer.error):
                await self._refuse(launch, f"{self._dialect.title} refused the job: {first_line(answer.error)}")
                return None
            raise failed(command, answer)
        try:
            job_id = self._dialect.read_id(answer.output)
        except UnreadableAnswerError as exc:
            raise unavailable(f"{exc}", answer.output) from exc
        self.submitted[job_id] = asyncio.get_running_loop().time()
        await asyncio.to_thread(launch.note_job, job_id)
        self._queue.hasten()
        return job_id

    async def _find_by_name(self, launch: JobLaunch) -> Job | None:
        listing = await self._queue.look(since=asyncio.get_running_loop().time())
        if listing.failure is not None:
            raise Unavailable("engine-unavailable", listing.failure, hint="It is asked again by itself.")
        name = self._requests.job_name(launch)
        return next((job for job in listing.jobs.values() if job.name == name), None)

    async def _refuse(self, launch: JobLaunch, message: str) -> None:
        def note() -> None:
            launch.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Nobody will read the secrets in it.
            launch.files.request.unlink(missing_ok=True)
            launch.note_end(Exit("no-capacity", f"{message}.", datetime.now(UTC)))

        await asyncio.to_thread(note)
