"""HTCondor, with a file system that the execute nodes share.

Source: the manual of HTCondor 23 (condor_submit, condor_q -json, condor_history, the table of job attributes).
Tested on recorded JSON of condor_q, on no real one.
"""

import re
from typing import Any

from studiolo.engines.slurm.dialect import Command, Dialect, Job, JobState, Submission, UnreadableAnswerError
from studiolo.engines.slurm.presets.reading import end_of_sentence, read_epoch, read_json, text_of

_ATTRIBUTES = ",".join(
    (
        *("ClusterId", "ProcId", "JobStatus", "JobBatchName", "RemoteHost", "HoldReason", "HoldReasonCode"),
        *("ExitCode", "ExitSignal", "RemoveReason", "CompletionDate", "EnteredCurrentStatus"),
    )
)
_STATES = {
    1: JobState.WAITING,
    2: JobState.RUNNING,
    3: JobState.ENDED,
    4: JobState.ENDED,
    5: JobState.WAITING,
    6: JobState.ENDING,
    7: JobState.HALTED,
}
_REMOVED, _HELD = 3, 5
_HELD_FOR_MEMORY = 34


class HTCondor(Dialect):
    """HTCondor 10 and newer."""

    title = "HTCondor"
    own_options = frozenset({"-terse", "-batch-name", "-file", "-dry-run", "-interactive", "-queue", "-spool"})
    unknown_options = frozenset({"partition", "qos", "reservation"})

    def submit(self, job: Submission) -> Command:
        """See Dialect.submit. The program is run without a shell and without variables but those given here."""
        lines = {
            "universe": "vanilla",
            "executable": _escape(job.program[0]),
            "arguments": _quote(job.program[1:]),
            "environment": _quote([f"HOME={job.home}", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin"]),
            "transfer_executable": "false",
            "should_transfer_files": "NO",
            "initialdir": _escape(str(job.folder)),
            "output": _escape(str(job.log)),
            "error": _escape(str(job.log)),
            "batch_name": job.name,
            "request_cpus": str(job.cpu),
        }
        if job.memory is not None:
            lines["request_memory"] = f"{-(-job.memory // 1024)}K"
        if job.gpu:
            lines["request_gpus"] = str(job.gpu)
        if job.seconds is not None:
            lines["periodic_remove"] = f"JobStatus == 2 && time() - JobCurrentStartDate > {job.seconds}"
        if job.options.account:
            lines["accounting_group"] = _escape(job.options.account)
        if job.options.constraint:
            lines["requirements"] = _escape(job.options.constraint)
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        return Command(("condor_submit", "-terse", *job.extra, "-"), stdin=f"{text}queue 1\n")

    def read_id(self, output: str) -> str:
        """See Dialect.read_id: `423.0 - 423.0`."""
        found = re.search(r"^(\d+\.\d+) - ", output, re.MULTILINE)
        if found is None:
            raise UnreadableAnswerError(f"condor_submit printed no job id but {output[:100]!r}")
        return found[1]

    def is_refusal(self, error: str) -> bool:
        """See Dialect.is_refusal."""
        return "ERROR" in error and not re.search(r"connect|locate|timed? ?out|authenticat|queue", error, re.IGNORECASE)

    def list_jobs(self) -> Command:
        """See Dialect.list_jobs. It forgets jobs as they end: `account` has them."""
        return Command(("condor_q", "-json", "-attributes", _ATTRIBUTES))

    def read_jobs(self, output: str) -> list[Job]:
        """See Dialect.read_jobs. Without jobs it prints nothing."""
        known = read_json(output, "condor_q") or []
        if not isinstance(known, list):
            raise UnreadableAnswerError("condor_q printed other JSON than this version knows")
        return [_read(job) for job in known if isinstance(job, dict) and "ClusterId" in job]

    def ask_to_end(self, job_id: str) -> Command:
        """See Dialect.ask_to_end: it sends SIGTERM first by itself."""
        return self.end(job_id)

    def end(self, job_id: str) -> Command:
        """See Dialect.end."""
        return Command(("condor_rm", job_id))

    def is_gone(self, error: str) -> bool:
        """See Dialect.is_gone."""
        return "not found" in error or "Couldn't find" in error

    def account(self, job_id: str) -> Command | None:
        """See Dialect.account."""
        return Command(("condor_history", job_id, "-limit", "1", "-json", "-attributes", _ATTRIBUTES))

    def read_account(self, output: str) -> Job | None:
        """See Dialect.read_account."""
        return next(iter(self.read_jobs(output)), None)


def _read(job: dict[str, Any]) -> Job:
    status = job.get("JobStatus")
    state = _STATES.get(status if isinstance(status, int) else 0, JobState.WAITING)
    held = end_of_sentence(text_of(job, "HoldReason")) if status == _HELD else ""
    code, signal = job.get("ExitCode"), job.get("ExitSignal")
    message, reason = f"In the queue: {held or 'it waits for a machine'}." if state is JobState.WAITING else "", ""
    if status == _HELD and job.get("HoldReasonCode") == _HELD_FOR_MEMORY:
        state, reason, message = JobState.ENDED, "out-of-memory", "The session used more memory than its job has."
    elif state is JobState.ENDED:
        reason, message = _end(status, text_of(job, "RemoveReason"))
    return Job(
        f"{job['ClusterId']}.{job.get('ProcId', 0)}",
        text_of(job, "JobBatchName"),
        state,
        message,
        reason,
        is_hopeless=bool(held),
        host=text_of(job, "RemoteHost").rpartition("@")[2],
        ended_at=read_epoch(job.get("CompletionDate")) or read_epoch(job.get("EnteredCurrentStatus")),
        code=code if isinstance(code, int) else None,
        signal=signal if isinstance(signal, int) else None,
    )


def _end(status: Any, removed: str) -> tuple[str, str]:
    if status != _REMOVED:
        return "", "The job ended by itself."
    if "PeriodicRemove" in removed:
        return "time-limit", "The job's time limit was reached."
    return "cancelled", "The job was removed at the batch system, not by the platform."


def _quote(words: list[str] | tuple[str, ...]) -> str:
    """Return words in condor_submit's newer syntax: each in single quotes, all in double ones."""
    quoted = " ".join("'" + word.replace("'", "''").replace('"', '""') + "'" for word in words)
    return f'"{_escape(quoted)}"'


def _escape(value: str) -> str:
    """Return a value in which condor_submit finds no macro."""
    return value.replace("$", "$(DOLLAR)")
