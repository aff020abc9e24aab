"""Torque by its own commands, and Moab, which submits to Torque and others.

Source: the manuals of Torque 6 (qsub, qstat -x, qsig, qdel) and of Moab 9 (msub, showq --xml, mjobctl). Tested on
recorded XML of qstat and showq, on no real one.
"""

import re
from datetime import timedelta
from xml.etree import ElementTree

from studiolo.engines.slurm.dialect import Command, Dialect, Job, JobState, Submission
from studiolo.engines.slurm.presets.pbs import STATES, TRANSIENT, queue_words, read_last_id, told
from studiolo.engines.slurm.presets.reading import (
    end_of_sentence,
    first_host,
    flatten,
    read_epoch,
    read_length,
    read_xml,
)

_MOAB_STATES = {
    "Running": JobState.RUNNING,
    "Starting": JobState.PREPARING,
    "Suspended": JobState.HALTED,
    **dict.fromkeys(("Completed", "Removed", "Vacated"), JobState.ENDED),
}


class Torque(Dialect):
    """Torque 4 and newer."""

    title = "Torque"
    own_options = frozenset(
        {"-N", "-o", "-e", "-j", "-r", "-q", "-A", "-v", "-V", "-t", "-I", "-W", "-k", "-C", "-S", "-d"}
    )
    unknown_options = frozenset({"qos", "reservation"})
    program = "qsub"

    def submit(self, job: Submission) -> Command:
        """See Dialect.submit."""
        nodes = [f"1:ppn={job.cpu}"]
        if job.gpu:
            nodes.append(f"gpus={job.gpu}")
        nodes += [job.options.constraint] if job.options.constraint else []
        asked = [f"nodes={':'.join(nodes)}"]
        if job.memory is not None:
            asked.append(f"mem={-(-job.memory // 1024)}kb")
        if job.seconds is not None:
            asked.append(f"walltime={job.seconds}")
        asked += self.more(job)
        words = ["-N", job.name, "-o", str(job.log), "-j", "oe", "-r", "n", "-d", str(job.folder)]
        return Command((self.program, *words, "-l", ",".join(asked), *queue_words(job), *job.extra), stdin=job.script)

    def more(self, job: Submission) -> list[str]:
        """Return what else is asked for as a resource."""
        return []

    def read_id(self, output: str) -> str:
        """See Dialect.read_id."""
        return read_last_id(output)

    def is_refusal(self, error: str) -> bool:
        """See Dialect.is_refusal."""
        return bool(error.strip()) and not TRANSIENT.search(error)

    def list_jobs(self) -> Command:
        """See Dialect.list_jobs. Jobs that ended are there for as long as the server keeps them (keep_completed)."""
        return Command(("qstat", "-x"))

    def read_jobs(self, output: str) -> list[Job]:
        """See Dialect.read_jobs."""
        root = read_xml(output, "qstat")
        return [_read(flatten(job)) for job in root.iter("Job")] if root is not None else []

    def ask_to_end(self, job_id: str) -> Command:
        """See Dialect.ask_to_end."""
        return Command(("qsig", "-s", "TERM", job_id))

    def end(self, job_id: str) -> Command:
        """See Dialect.end."""
        return Command(("qdel", job_id))

    def is_gone(self, error: str) -> bool:
        """See Dialect.is_gone."""
        return bool(re.search(r"Unknown Job|invalid state|invalid job|cannot locate", error, re.IGNORECASE))


class Moab(Torque):
    """Moab 6 and newer. Its queue forgets jobs as they end: how they did, their own files say."""

    title = "Moab"
    unknown_options = frozenset()
    program = "msub"

    def more(self, job: Submission) -> list[str]:
        """See Torque.more."""
        pairs = (("qos", job.options.qos), ("advres", job.options.reservation))
        return [f"{name}={value}" for name, value in pairs if value]

    def list_jobs(self) -> Command:
        """See Dialect.list_jobs."""
        return Command(("showq", "--xml"))

    def read_jobs(self, output: str) -> list[Job]:
        """See Dialect.read_jobs."""
        root = read_xml(output, "showq")
        return [_read_moab(job) for job in root.iter("job")] if root is not None else []

    def ask_to_end(self, job_id: str) -> Command:
        """See Dialect.ask_to_end."""
        return Command(("mjobctl", "-N", "signal=15", job_id))

    def end(self, job_id: str) -> Command:
        """See Dialect.end."""
        return Command(("mjobctl", "-c", job_id))


def _read(job: dict[str, str]) -> Job:
    state = STATES.get(job.get("job_state", ""), JobState.RUNNING)
    status = job.get("exit_status", "")
    number = int(status) if re.fullmatch(r"-?\d+", status) else None
    started, ended = read_epoch(job.get("start_time", "")), read_epoch(job.get("comp_time", ""))
    seconds = read_length(job.get("Resource_List.walltime", ""))
    says = told(state, end_of_sentence(job.get("comment", "")), number)
    ran_out = started and ended and seconds and ended - started >= timedelta(seconds=seconds)
    if state is JobState.ENDED and ran_out:
        # It ends jobs by SIGTERM, whoever wishes it.
        says |= {"reason": "time-limit", "message": "The job's time limit was reached."}
    return Job(
        job.get("Job_Id", ""),
        job.get("Job_Name", ""),
        state,
        **says,
        host=first_host(job.get("exec_host", "")),
        ends_at=started + timedelta(seconds=seconds) if started and seconds else None,
        ended_at=ended,
    )


def _read_moab(job: ElementTree.Element) -> Job:
    state = _MOAB_STATES.get(job.get("State", ""), JobState.WAITING)
    begins = read_epoch(job.get("StartTime", "")) or read_epoch(job.get("RsvStartTime", ""))
    seconds = read_length(job.get("ReqAWDuration", ""))
    waits = state is JobState.WAITING
    blocked = end_of_sentence(job.get("BlockReason", "")) or job.get("State", "")
    return Job(
        job.get("JobID", ""),
        job.get("JobName", ""),
        state,
        f"In the queue: {blocked}." if waits else "",
        host=job.get("MasterHost", ""),
        expected_start=begins if waits else None,
        ends_at=begins + timedelta(seconds=seconds) if begins and seconds and not waits else None,
    )
