"""Grid Engine and its descendants (Son of, Univa, Altair, Open Cluster Scheduler).

Source: qsub(1), qstat(1), qacct(1) and sge_status(5) of 8.1.9. Tested on recorded XML of qstat, on no real one.
"""

import re

from studiolo.engines.slurm.dialect import Command, Dialect, Job, JobState, Submission, UnreadableAnswerError
from studiolo.engines.slurm.presets.reading import flatten, read_local, read_xml

# What qmaster says of jobs that failed, by number.
_ENDS = {
    "37": ("time-limit", "The job's time limit was reached, or another limit of Grid Engine's own."),
    "100": ("", "The job was ended by a signal."),
}


class GridEngine(Dialect):
    """Grid Engine 6.2 and newer."""

    title = "Grid Engine"
    own_options = frozenset(
        {
            "-N",
            "-o",
            "-e",
            "-j",
            "-wd",
            "-cwd",
            "-r",
            "-C",
            "-S",
            "-terse",
            "-q",
            "-P",
            "-ar",
            "-V",
            "-v",
            "-t",
            "-sync",
            "-pe",
        }
    )
    unknown_options = frozenset({"qos"})

    def submit(self, job: Submission) -> Command:
        """See Dialect.submit. `-C ''`: no line of the script is an option. Slots of one node are those of `smp`.

        Memory is asked for (mem_free), for each slot, and not held: h_vmem counts addresses, which Python takes freely.
        """
        words = ["-terse", "-N", job.name, "-o", str(job.log), "-j", "y", "-wd", str(job.folder), "-r", "n"]
        words += ["-S", "/bin/sh", "-C", ""]
        if job.cpu > 1:
            words += ["-pe", "smp", str(job.cpu)]
        asked = []
        if job.memory is not None:
            asked.append(f"mem_free={-(-job.memory // 1024 // job.cpu)}K")
        if job.seconds is not None:
            asked.append(f"h_rt={job.seconds}")
        if job.gpu:
            asked.append(f"{job.gres}={job.gpu}")
        asked += [job.options.constraint] if job.options.constraint else []
        words += ["-l", ",".join(asked)] if asked else []
        options = job.options
        for option, value in (("-q", options.partition), ("-P", options.account), ("-ar", options.reservation)):
            words += [option, value] if value else []
        return Command(("qsub", *words, *job.extra), stdin=job.script)

    def read_id(self, output: str) -> str:
        """See Dialect.read_id: with -terse nothing else is printed."""
        found = re.search(r"^\s*(\d+)\s*$", output, re.MULTILINE)
        if found is None:
            raise UnreadableAnswerError(f"qsub printed no job id but {output[:100]!r}")
        return found[1]

    def is_refusal(self, error: str) -> bool:
        """See Dialect.is_refusal."""
        return bool(re.search(r"Unable to run job|unknown|denied|no suitable queues|invalid", error, re.IGNORECASE))

    def list_jobs(self) -> Command:
        """See Dialect.list_jobs. It forgets jobs as they end: `account` has them."""
        return Command(("qstat", "-xml"))

    def read_jobs(self, output: str) -> list[Job]:
        """See Dialect.read_jobs."""
        root = read_xml(output, "qstat")
        return [_read(flatten(job)) for job in root.iter("job_list")] if root is not None else []

    def ask_to_end(self, job_id: str) -> Command:
        """See Dialect.ask_to_end. There is no signal to be had but the last: kernels are not told."""
        return self.end(job_id)

    def end(self, job_id: str) -> Command:
        """See Dialect.end."""
        return Command(("qdel", job_id))

    def is_gone(self, error: str) -> bool:
        """See Dialect.is_gone."""
        return "does not exist" in error or "already in deletion" in error

    def account(self, job_id: str) -> Command | None:
        """See Dialect.account."""
        return Command(("qacct", "-j", job_id))

    def read_account(self, output: str) -> Job | None:
        """See Dialect.read_account: lines of a name and a value; the last record is of the last run."""
        known = dict(re.findall(r"^(\w+) +(\S.*?) *$", output, re.MULTILINE))
        if "jobnumber" not in known:
            return None
        reason, message = _ENDS.get(known.get("failed", "").split(" ")[0], ("", "The job ended."))
        status = known.get("exit_status", "").split(" ")[0]
        return Job(
            known["jobnumber"],
            known.get("jobname", ""),
            JobState.ENDED,
            message,
            reason,
            ended_at=read_local(known.get("end_time", ""), "%a %b %d %H:%M:%S %Y"),
            code=int(status) if status.isdigit() else None,
        )


def _read(job: dict[str, str]) -> Job:
    letters = job.get("state", "")
    if "d" in letters:
        state = JobState.ENDING
    elif "q" in letters:
        state = JobState.WAITING
    elif "t" in letters:
        state = JobState.PREPARING
    else:
        state = JobState.HALTED if set(letters) & set("sSTN") else JobState.RUNNING
    has_failed, is_held = "E" in letters, "h" in letters
    why = "Grid Engine could not start it" if has_failed else "it is held" if is_held else "it waits for its turn"
    return Job(
        job.get("JB_job_number", ""),
        job.get("JB_name", ""),
        state,
        f"In the queue: {why} ({letters})." if state is JobState.WAITING else "",
        is_hopeless=has_failed,
        host=job.get("queue_name", "").partition("@")[2],
    )
