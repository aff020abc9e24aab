"""Slurm, by its commands. Tried on 22.05.

Fields come by squeue's own format, not as JSON: what stands in that differs from version to version (strings or
{set, number}, a state or a list of states), and 22.05 prints neither expected starts nor nodes as newer ones do. The
format's letters have not changed for fifteen years. Fields are parted by the unit separator, which no name holds, and
times are Unix times (SLURM_TIME_FORMAT), so that no time zone matters.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from studiolo.engines.base import Machine
from studiolo.engines.slurm.dialect import (
    Command,
    Dialect,
    Job,
    JobState,
    JobUse,
    Submission,
    UnreadableAnswerError,
)
from studiolo.engines.slurm.words import is_hopeless, say_reason

SEPARATOR = "\x1f"
_UNIX_TIMES = (("SLURM_TIME_FORMAT", "%s"),)
# Id, name, state, reason, (expected) start, end by the time limit, the node of the script.
_FIELDS = ("%i", "%j", "%T", "%r", "%S", "%e", "%B")
_ACCOUNT_FIELDS = ("JobIDRaw", "JobName", "State", "ExitCode", "End", "Reason")
_USE_FIELDS = ("JobID", "AveCPU", "AveRSS", "MaxRSS")
# A refused job and a controller that cannot be reached look alike but for the words.
TRANSIENT = re.compile(
    r"unable to contact|time[d-]? ?out|connect|again later|temporarily|authenticat|munge|communication|zero bytes|"
    r"not respond|controller|slurm_receive|slurm_send|unexpected message|database|internal error",
    re.IGNORECASE,
)
_STATES = {
    **dict.fromkeys(("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"), "waiting"),
    **dict.fromkeys(("CONFIGURING", "POWER_UP_NODE"), "preparing"),
    **dict.fromkeys(("RUNNING", "RESIZING", "SIGNALING", "STAGE_OUT"), "running"),
    **dict.fromkeys(("SUSPENDED", "STOPPED"), "halted"),
    "COMPLETING": "ending",
}
# Reason as in base.Exit, and what to say.
_ENDS = {
    "COMPLETED": ("", "The job ended by itself."),
    "FAILED": ("", "The job failed"),
    "TIMEOUT": ("time-limit", "The job's time limit was reached."),
    "DEADLINE": ("time-limit", "The job's deadline was reached."),
    "OUT_OF_MEMORY": ("out-of-memory", "The session used more memory than its job has, and Slurm ended it."),
    "CANCELLED": ("cancelled", "The job was cancelled at the batch system, not by the platform."),
    "REVOKED": ("cancelled", "The job was revoked: another cluster of the federation took it."),
    "PREEMPTED": ("evicted", "A job of higher priority took the session's place."),
    "NODE_FAIL": ("vanished", "The node that ran the session failed."),
    "BOOT_FAIL": ("vanished", "The node for the session did not start."),
    "LAUNCH_FAILED": ("never-ready", "The job could not be started on its node."),
    "RECONFIG_FAIL": ("never-ready", "The node could not be prepared for the job."),
}
_GPUS = re.compile(r"(?P<name>\w+):(?:[^:,()]+:)?(?P<count>\d+)")


class Slurm(Dialect):
    """Slurm 20.11 and newer."""

    title = "Slurm"
    is_tried = True
    own_options = frozenset(
        {
            *("--job-name", "-J", "--parsable", "--output", "-o", "--error", "-e", "--export", "--export-file"),
            *("--chdir", "-D", "--array", "-a", "--requeue", "--no-requeue", "--wrap", "--wait", "-W", "--test-only"),
            *("--nodes", "-N", "--ntasks", "-n", "--cpus-per-task", "-c", "--mem", "--mem-per-cpu", "--time", "-t"),
            *("--gres", "--partition", "-p", "--account", "-A", "--qos", "-q", "--constraint", "-C", "--reservation"),
            *("--uid", "--gid", "--input", "-i", "--get-user-env", "--help", "--usage", "--version", "-V", "--quiet"),
        }
    )

    def submit(self, job: Submission) -> Command:
        """See Dialect.submit.

        `--export=ALL` hands on the few variables that the client has (see `commands`); NONE would have the node read
        the account's login scripts first. A percent sign begins a pattern in the name of the output.
        """
        options = job.options
        words = [
            *("--parsable", f"--job-name={job.name}", "--export=ALL", "--no-requeue"),
            *(f"--chdir={job.folder}", f"--output={str(job.log).replace('%', '%%')}"),
            *("--nodes=1", "--ntasks=1", f"--cpus-per-task={job.cpu}"),
        ]
        if job.memory is not None:
            words.append(f"--mem={-(-job.memory // 1024)}K")
        if job.gpu:
            words.append("--gres=" + ":".join(filter(None, (job.gres, job.gpu_type, str(job.gpu)))))
        if job.seconds is not None:
            words.append(f"--time={job.seconds // 60}:{job.seconds % 60:02}")
        words += [f"--{name}={value}" for name, value in options.model_dump(exclude_none=True).items()]
        return Command(("sbatch", *words, *job.extra), stdin=job.script)

    def read_id(self, output: str) -> str:
        """See Dialect.read_id: `17` or `17;cluster`."""
        found = re.match(r"(\d+)(;\S+)?$", output.strip())
        if found is None:
            raise UnreadableAnswerError(f"sbatch printed no job id but {output[:100]!r}")
        return found[1]

    def is_refusal(self, error: str) -> bool:
        """See Dialect.is_refusal."""
        return "error:" in error and not TRANSIENT.search(error)

    def list_jobs(self) -> Command:
        """See Dialect.list_jobs: one call for all, ended ones too for as long as the controller keeps them."""
        fields = SEPARATOR.join(_FIELDS)
        return Command(("squeue", "--me", "--noheader", "--states=all", f"--format={fields}"), variables=_UNIX_TIMES)

    def read_jobs(self, output: str) -> list[Job]:
        """See Dialect.read_jobs."""
        rows = (line.split(SEPARATOR) for line in output.splitlines())
        return [read_job(*row) for row in rows if len(row) == len(_FIELDS)]

    def ask_to_end(self, job_id: str) -> Command:
        """See Dialect.ask_to_end. `--state`: a waiting job cannot be signalled, and the client tries for a minute."""
        return Command(("scancel", "--state=RUNNING", "--signal=TERM", "--batch", job_id))

    def end(self, job_id: str) -> Command:
        """See Dialect.end."""
        return Command(("scancel", job_id))

    def is_gone(self, error: str) -> bool:
        """See Dialect.is_gone."""
        return "Invalid job id" in error or "already completing or completed" in error

    def account(self, job_id: str) -> Command | None:
        """See Dialect.account. The fields' own separator is the bar; the job's name, which is ours, has none."""
        words = ("sacct", "-X", "-n", "-P", "-j", job_id, f"--format={','.join(_ACCOUNT_FIELDS)}")
        return Command(words, variables=_UNIX_TIMES)

    def read_account(self, output: str) -> Job | None:
        """See Dialect.read_account: the last record is of the last time that the job ran."""
        rows = [line.split("|") for line in output.splitlines()]
        row = next((row for row in reversed(rows) if len(row) == len(_ACCOUNT_FIELDS)), None)
        if row is None:
            return None
        job_id, name, state, code, end, reason = row
        status, _, signal = code.partition(":")
        return read_job(
            *(job_id, name, state, reason, "", end, ""),
            code=int(status) if status.isdigit() else None,
            signal=int(signal) if signal.isdigit() and signal != "0" else None,
        )

    def measure(self, job_ids: Sequence[str]) -> Command | None:
        """See Dialect.measure. The script's own step is all of a session; its one task makes averages sums."""
        words = ("sstat", "--noheader", "--parsable2", "--noconvert", f"--format={','.join(_USE_FIELDS)}")
        return Command((*words, f"--jobs={','.join(f'{job_id}.batch' for job_id in job_ids)}"))

    def read_uses(self, output: str) -> dict[str, JobUse]:
        """See Dialect.read_uses."""
        rows = (line.split("|") for line in output.splitlines())
        return {
            step.removesuffix(".batch"): JobUse(_seconds(cpu), _bytes(memory), _bytes(peak))
            for step, cpu, memory, peak in (row for row in rows if len(row) == len(_USE_FIELDS))
        }

    def describe(self, partition: str | None) -> Sequence[Command]:
        """See Dialect.describe."""
        fields = "NodeList:|,CPUs:|,Memory:|,Gres:200|,StateLong:|"
        chosen = (f"--partition={partition}",) if partition else ()
        return Command(("sinfo", "-N", "-h", *chosen, "-O", fields)), Command(("scontrol", "show", "config"))

    def read_machine(self, outputs: Sequence[str]) -> Machine:
        """See Dialect.read_machine. Limits are `engine` where the cluster's settings say that cgroups hold them."""
        nodes, config = outputs
        # A node of two partitions has two lines.
        rows = {row[0].strip(): row for line in nodes.splitlines() if len(row := line.split("|")) >= 5}
        usable = [row for row in rows.values() if is_usable(row[4].strip())]
        known = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", config, re.MULTILINE))
        by_task = "task/cgroup" in known.get("TaskPlugin", "")
        over_kill = "OverMemoryKill" in known.get("JobAcctGatherParams", "")
        return Machine(
            cpu=float(sum(_whole(row[1]) for row in usable)),
            memory=sum(_whole(row[2]) for row in usable) * 1024**2,
            gpu=sum(count_gpus(row[3]) for row in usable),
            cpu_limits="engine" if by_task and known.get("ConstrainCores") == "yes" else "none",
            memory_limits="engine" if (by_task and known.get("ConstrainRAMSpace") == "yes") or over_kill else "none",
            process_limits="none",
        )


def read_job(
    job_id: str,
    name: str,
    state: str,
    reason: str,
    start: str,
    end: str,
    host: str,
    *,
    code: int | None = None,
    signal: int | None = None,
) -> Job:
    """Return a job from Slurm's own words; times are Unix times, as text, and anything else where there is none."""
    # `CANCELLED by 1000`, as sacct says it.
    word = state.partition(" ")[0].rstrip("+")
    ended = _ENDS.get(word)
    if ended is not None:
        why, message = ended
        cause = "" if reason in {"", "None"} else f": {say_reason(reason)}"
        said = message if message.endswith(".") else f"{message}{cause}."
        return Job(
            job_id,
            name,
            JobState.ENDED,
            said,
            "no-capacity" if is_hopeless(reason) else why,
            ended_at=_time(end),
            code=code,
            signal=signal,
        )
    known = JobState(_STATES.get(word, "running"))
    waits = known is JobState.WAITING
    return Job(
        job_id,
        name,
        known,
        f"In the queue: {say_reason(reason)}." if waits else "",
        is_hopeless=waits and is_hopeless(reason),
        host="" if host == "n/a" else host,
        expected_start=_time(start) if waits else None,
        ends_at=None if waits else _time(end),
    )


def is_usable(state: str) -> bool:
    """Tell whether a node of this state runs jobs."""
    return re.match(r"down|drain|fail|unk|inval|err", state, re.IGNORECASE) is None


def _time(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if text.isdigit() and 0 < int(text) < 2**33 else None


def _seconds(text: str) -> float | None:
    """Read `1-02:03:04` or `02:03:04.567`."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    if found is None:
        return None
    days, hours, minutes, seconds = found.groups()
    return ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)


def _bytes(text: str) -> int | None:
    """Read `3004K`; without a letter it is bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTP]?)", text)
    return int(float(found[1]) * 1024 ** " KMGTP".index(found[2] or " ")) if found else None


def _whole(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


def count_gpus(gres: str) -> int:
    """Return how many there are in `gpu:a100:4(S:0-1),gpu:2`."""
    return sum(int(found["count"]) for found in _GPUS.finditer(gres) if found["name"] == "gpu")
