"""What batch systems have in common, and what each must say: its commands, and how to read what they print."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from studiolo.engines.base import Machine
from studiolo.engines.slurm.settings import BatchOptions

# Names of our jobs begin with it, and no others.
JOB_MARK = "studiolo-"
UNKNOWN_MACHINE = Machine(
    cpu=None, memory=None, gpu=None, cpu_limits="none", memory_limits="none", process_limits="none"
)


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    # It has a node, which is being made ready.
    PREPARING = "preparing"
    RUNNING = "running"
    # The system has stopped its processes for a while.
    HALTED = "halted"
    ENDING = "ending"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its system tells of it.

    `message`: a sentence for people: why it waits, or how it ended. `reason`: of a job that ended, as in base.Exit;
    empty when all that is known is that it ended by itself. `is_hopeless`: waits for what will never be. `host`: the
    node that runs it. `expected_start`, `ends_at`: what the scheduler expects, and when the time limit ends it.
    """

    id: str
    name: str
    state: JobState
    message: str = ""
    reason: str = ""
    is_hopeless: bool = False
    host: str = ""
    expected_start: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A job to be submitted. `cpu` in whole processors, `memory` in bytes, `seconds` its time limit.

    `script` is for a shell and runs `program` with `home` as its home; `folder` its working directory; `log` gets what
    it prints before the session has a log.
    """

    name: str
    script: str
    program: tuple[str, ...]
    home: Path
    folder: Path
    log: Path
    options: BatchOptions = field(default_factory=BatchOptions)
    cpu: int = 1
    memory: int | None = None
    gpu: int = 0
    gpu_type: str | None = None
    gres: str = "gpu"
    seconds: int | None = None
    extra: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `variables` are set for it wherever the prefix leads; `stdin` is text.

    For a system that is asked over HTTP (`rest_client`): its name, method, path and query, and the body.
    """

    argv: tuple[str, ...]
    stdin: str = ""
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JobUse:
    """What the processes of a job have used together. Sizes in bytes."""

    cpu_seconds: float | None
    memory: int | None
    memory_peak: int | None


class UnreadableAnswerError(ValueError):
    """A command printed what this version cannot read; the text says what."""


class Dialect(ABC):
    """One batch system. Pure: makes commands and reads answers, and runs nothing.

    `title`: for people. `is_tried`: tested on a real one. `own_options`: those of the submitting command that are ours
    to set (a short one with one dash), so that the settings' `extra` may not. `unknown_options`: of BatchOptions.
    """

    title: str
    is_tried: bool = False
    own_options: frozenset[str]
    unknown_options: frozenset[str] = frozenset()

    def check(self, options: BatchOptions) -> None:
        """Raise ValueError for an option that this system has nothing like."""
        for name in sorted(self.unknown_options & set(options.model_dump(exclude_none=True))):
            raise ValueError(f"{self.title} knows no {name}")

    @abstractmethod
    def submit(self, job: Submission) -> Command:
        """Return what submits `job`."""

    @abstractmethod
    def read_id(self, output: str) -> str:
        """Return the new job's id from what submitting printed. Raises UnreadableAnswerError."""

    @abstractmethod
    def is_refusal(self, error: str) -> bool:
        """Tell whether a failed submission says no to this job, and not that the system cannot be asked now."""

    @abstractmethod
    def list_jobs(self) -> Command:
        """Return what lists all jobs of the account, also those that ended lately where the system still knows them."""

    @abstractmethod
    def read_jobs(self, output: str) -> list[Job]:
        """Return the jobs of that list; skips those it cannot read. Raises UnreadableAnswerError for the whole."""

    @abstractmethod
    def ask_to_end(self, job_id: str) -> Command:
        """Return what sends SIGTERM to the script of a running job, which ends its session in order."""

    @abstractmethod
    def end(self, job_id: str) -> Command:
        """Return what ends a job for good, waiting or running."""

    @abstractmethod
    def is_gone(self, error: str) -> bool:
        """Tell whether a command failed because the job has ended or is not known."""

    def account(self, job_id: str) -> Command | None:
        """Return what asks the system's records for a job that the queue forgot; None: it has none."""
        return None

    def read_account(self, output: str) -> Job | None:
        """Return the job of those records, None when they do not have it. Raises UnreadableAnswerError."""
        return None

    def measure(self, job_ids: Sequence[str]) -> Command | None:
        """Return what asks for the use of running jobs, all at once; None: the system is not asked."""
        return None

    def read_uses(self, output: str) -> dict[str, JobUse]:
        """Return the use of jobs by id; leaves out those it cannot read."""
        return {}

    def describe(self, partition: str | None) -> Sequence[Command]:
        """Return what tells about the nodes; nothing when the system is not asked."""
        return ()

    def read_machine(self, outputs: Sequence[str]) -> Machine:
        """Return what all nodes together have, from the outputs of `describe`. Raises UnreadableAnswerError."""
        return UNKNOWN_MACHINE
