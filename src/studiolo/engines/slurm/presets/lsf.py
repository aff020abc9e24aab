"""IBM Spectrum LSF.

Source: the manual of LSF 10.1 (bsub, bjobs -o, bkill, the table of termination reasons). Tested on recorded output of
bjobs, on no real one.
"""

import re

from studiolo.engines.slurm.dialect import Command, Dialect, Job, JobState, Submission, UnreadableAnswerError
from studiolo.engines.slurm.presets.reading import end_of_sentence, first_host, read_local

# The last may have the delimiter in it.
_FIELDS = (
    "jobid",
    "stat",
    "exit_code",
    "exec_host",
    "start_time",
    "finish_time",
    "job_name",
    "exit_reason",
    "pend_reason",
)
_STATES = {
    **dict.fromkeys(("PEND", "PSUSP", "WAIT"), JobState.WAITING),
    **dict.fromkeys(("USUSP", "SSUSP", "UNKWN"), JobState.HALTED),
    **dict.fromkeys(("DONE", "EXIT", "ZOMBI"), JobState.ENDED),
}
_ENDS = {
    "TERM_RUNLIMIT": ("time-limit", "The job's time limit was reached."),
    "TERM_DEADLINE": ("time-limit", "The queue closed before the job had ended."),
    "TERM_WINDOW": ("time-limit", "The queue closed before the job had ended."),
    "TERM_MEMLIMIT": ("out-of-memory", "The session used more memory than its job has, and LSF ended it."),
    "TERM_SWAP": ("out-of-memory", "The session used more memory than its job has, and LSF ended it."),
    "TERM_PREEMPT": ("evicted", "A job of higher priority took the session's place."),
    "TERM_OWNER": ("cancelled", "The job was ended at the batch system, not by the platform."),
    "TERM_FORCE_OWNER": ("cancelled", "The job was ended at the batch system, not by the platform."),
    "TERM_ADMIN": ("cancelled", "An administrator of the cluster ended the job."),
    "TERM_FORCE_ADMIN": ("cancelled", "An administrator of the cluster ended the job."),
}
_FORM = "%b %d %H:%M"


class LSF(Dialect):
    """LSF 10.1 and newer."""

    title = "LSF"
    own_options = frozenset(
        {
            "-J",
            "-o",
            "-oo",
            "-e",
            "-eo",
            "-cwd",
            "-n",
            "-M",
            "-W",
            "-q",
            "-P",
            "-U",
            "-r",
            "-rn",
            "-gpu",
            "-env",
            "-K",
            "-I",
        }
    )
    unknown_options = frozenset({"qos"})

    def submit(self, job: Submission) -> Command:
        """See Dialect.submit. A percent sign begins a pattern in the name of the output."""
        words = ["-J", job.name, "-o", str(job.log).replace("%", "%%"), "-cwd", str(job.folder)]
        words += ["-rn", "-env", "none", "-n", str(job.cpu), "-R", "span[hosts=1]"]
        if job.memory is not None:
            words += ["-M", f"{-(-job.memory // 1024)}KB"]
        if job.gpu:
            words += ["-gpu", f"num={job.gpu}" + (f":gmodel={job.gpu_type}" if job.gpu_type else "")]
        if job.seconds is not None:
            words += ["-W", str(-(-job.seconds // 60))]
        if job.options.constraint:
            words += ["-R", f"select[{job.options.constraint}]"]
        options = job.options
        for option, value in (("-q", options.partition), ("-P", options.account), ("-U", options.reservation)):
            words += [option, value] if value else []
        return Command(("bsub", *words, *job.extra), stdin=job.script)

    def read_id(self, output: str) -> str:
        """See Dialect.read_id: `Job <17> is submitted to queue <normal>.`."""
        found = re.search(r"Job <(\d+)>", output)
        if found is None:
            raise UnreadableAnswerError(f"bsub printed no job id but {output[:100]!r}")
        return found[1]

    def is_refusal(self, error: str) -> bool:
        """See Dialect.is_refusal."""
        return "Job not submitted" in error

    def list_jobs(self) -> Command:
        """See Dialect.list_jobs."""
        return Command(("bjobs", "-a", "-noheader", "-o", f"{' '.join(_FIELDS)} delimiter='|'"))

    def read_jobs(self, output: str) -> list[Job]:
        """See Dialect.read_jobs. Without jobs it prints nothing, or says so on the other channel."""
        rows = (line.strip().split("|", len(_FIELDS) - 1) for line in output.splitlines())
        return [_read(*row) for row in rows if len(row) == len(_FIELDS)]

    def ask_to_end(self, job_id: str) -> Command:
        """See Dialect.ask_to_end."""
        return Command(("bkill", "-s", "TERM", job_id))

    def end(self, job_id: str) -> Command:
        """See Dialect.end."""
        return Command(("bkill", job_id))

    def is_gone(self, error: str) -> bool:
        """See Dialect.is_gone."""
        return "is not found" in error or "already finished" in error


def _read(
    job_id: str, stat: str, code: str, host: str, start: str, finish: str, name: str, ended: str, pending: str
) -> Job:
    state = _STATES.get(stat, JobState.RUNNING)
    # `L`: when its limit ends it; `E`: as it is expected; `X`: as it was.
    finish_at = read_local(finish.rstrip("LEX "), _FORM)
    if state is JobState.ENDED:
        reason, message = _ENDS.get(ended.partition(":")[0].strip(), ("", f"The job ended ({stat.lower()})."))
        number = int(code) if code.isdigit() else None
        return Job(job_id, name, state, message, reason, code=number, ended_at=finish_at)
    waits = state is JobState.WAITING
    why = end_of_sentence(pending.strip("- ")) or "it waits for its turn"
    return Job(
        job_id,
        name,
        state,
        f"In the queue: {why}." if waits else "",
        host="" if host == "-" else first_host(host),
        expected_start=read_local(start.rstrip("LEX "), _FORM) if waits else None,
        ends_at=None if waits else finish_at,
    )
