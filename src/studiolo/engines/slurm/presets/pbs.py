"""PBS Professional and OpenPBS, by their commands and qstat's JSON.

Source: qsub(1B), qstat(1B), qselect(1B) and qsig(1B) of OpenPBS; the numbers of exits are those of its job.h. Tested on
recorded output of qstat -xf -F json of versions 14 to 2022, on no real one.
"""

import re
from datetime import timedelta
from typing import Any

from studiolo.engines.slurm.dialect import Command, Dialect, Job, JobState, Submission, UnreadableAnswerError
from studiolo.engines.slurm.presets.reading import (
    end_of_sentence,
    first_host,
    read_epoch,
    read_json,
    read_length,
    read_local,
    text_of,
)

TRANSIENT = re.compile(
    r"cannot connect|connection|communication|timed? ?out|try again|not respond|munge|authenticat|server shutting",
    re.IGNORECASE,
)
STATES = {
    **dict.fromkeys("QWHTM", JobState.WAITING),
    **dict.fromkeys("RB", JobState.RUNNING),
    **dict.fromkeys("SU", JobState.HALTED),
    "E": JobState.ENDING,
    **dict.fromkeys("FXC", JobState.ENDED),
}
_ENDS = {
    -29: ("time-limit", "The job's time limit was reached."),
    -27: ("out-of-memory", "The session used more memory than its job has, and PBS ended it."),
    -26: ("out-of-memory", "The session used more memory than its job has, and PBS ended it."),
}
# qstat alone lists everybody's jobs, and with -u it prints no JSON. A fixed text: nothing is put into it.
_LIST = 'ids=$(qselect -x -u "$(id -un)") || exit; if [ -n "$ids" ]; then exec qstat -x -f -F json $ids; fi'
_SIGNALLED = 256
_CTIME = "%a %b %d %H:%M:%S %Y"


class PBS(Dialect):
    """PBS Professional 14 and newer, OpenPBS."""

    title = "PBS"
    own_options = frozenset({"-N", "-o", "-e", "-j", "-r", "-q", "-A", "-v", "-V", "-J", "-I", "-W", "-k", "-C", "-S"})
    unknown_options = frozenset({"qos", "reservation"})

    def submit(self, job: Submission) -> Command:
        """See Dialect.submit."""
        chunk = [f"1:ncpus={job.cpu}"]
        if job.memory is not None:
            chunk.append(f"mem={-(-job.memory // 1024)}kb")
        if job.gpu:
            chunk.append(f"ngpus={job.gpu}")
        chunk += [job.options.constraint] if job.options.constraint else []
        words = ["-N", job.name, "-o", str(job.log), "-j", "oe", "-r", "n", "-l", f"select={':'.join(chunk)}"]
        if job.seconds is not None:
            words += ["-l", f"walltime={job.seconds}"]
        return Command(("qsub", *words, *queue_words(job), *job.extra), stdin=job.script)

    def read_id(self, output: str) -> str:
        """See Dialect.read_id: `1008.server`, after whatever a site's hook has said."""
        return read_last_id(output)

    def is_refusal(self, error: str) -> bool:
        """See Dialect.is_refusal."""
        return "qsub:" in error and not TRANSIENT.search(error)

    def list_jobs(self) -> Command:
        """See Dialect.list_jobs."""
        return Command(("sh", "-c", _LIST))

    def read_jobs(self, output: str) -> list[Job]:
        """See Dialect.read_jobs. Without jobs there is no member `Jobs`."""
        known = read_json(output, "qstat") or {}
        jobs = known.get("Jobs", {}) if isinstance(known, dict) else None
        if not isinstance(jobs, dict):
            raise UnreadableAnswerError("qstat printed other JSON than this version knows")
        return [_read(job_id, job) for job_id, job in jobs.items() if isinstance(job, dict)]

    def ask_to_end(self, job_id: str) -> Command:
        """See Dialect.ask_to_end."""
        return Command(("qsig", "-s", "TERM", job_id))

    def end(self, job_id: str) -> Command:
        """See Dialect.end."""
        return Command(("qdel", job_id))

    def is_gone(self, error: str) -> bool:
        """See Dialect.is_gone."""
        return bool(re.search(r"Unknown Job|has finished|invalid state|MSG=.*state", error, re.IGNORECASE))


def queue_words(job: Submission) -> list[str]:
    """Return the options for queue and account that all of PBS's family know."""
    pairs = (("-q", job.options.partition), ("-A", job.options.account))
    return [word for option, value in pairs if value for word in (option, value)]


def read_last_id(output: str) -> str:
    """Return the job id that is alone on the last line. Raises UnreadableAnswerError."""
    lines = output.split()
    if not lines or not re.fullmatch(r"[A-Za-z0-9][\w.\[\]-]*", lines[-1]):
        raise UnreadableAnswerError(f"the submission printed no job id but {output[:100]!r}")
    return lines[-1]


def _read(job_id: str, job: dict[str, Any]) -> Job:
    state = STATES.get(text_of(job, "job_state"), JobState.RUNNING)
    comment = end_of_sentence(text_of(job, "comment")).removeprefix("Not Running: ")
    status = job.get("Exit_status")
    number = status if isinstance(status, int) else None
    started = read_local(text_of(job, "stime"), _CTIME)
    limit = job.get("Resource_List") if isinstance(job.get("Resource_List"), dict) else {}
    seconds = read_length(text_of(limit or {}, "walltime"))
    estimated = job.get("estimated") if isinstance(job.get("estimated"), dict) else {}
    expected = text_of(estimated or {}, "start_time")
    return Job(
        job_id,
        text_of(job, "Job_Name"),
        state,
        **told(state, comment, number),
        host=first_host(text_of(job, "exec_host")),
        expected_start=(read_epoch(expected) or read_local(expected, _CTIME)) if state is JobState.WAITING else None,
        ends_at=started + timedelta(seconds=seconds) if started and seconds else None,
        ended_at=read_local(text_of(job, "mtime"), _CTIME) if state is JobState.ENDED else None,
    )


def told(state: JobState, comment: str, number: int | None) -> dict[str, Any]:
    """Return message, reason, code and signal of a job whose exit has this number (256 and more: by a signal)."""
    if state is JobState.WAITING:
        return {"message": f"In the queue: {comment or 'it waits for its turn'}."}
    if state is not JobState.ENDED or number is None:
        return {"message": "The job ended." if state is JobState.ENDED else ""}
    reason, message = _ENDS.get(number, ("", f"The job ended with status {number}."))
    by_signal = number > _SIGNALLED
    return {
        "message": message,
        "reason": reason,
        "code": number if 0 <= number < _SIGNALLED else None,
        "signal": number - _SIGNALLED if by_signal else None,
    }
