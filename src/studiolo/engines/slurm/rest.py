"""Slurm by its REST daemon, interface 0.0.38. Tried on 22.05.

Source: the OpenAPI description that slurmrestd serves (`/openapi/v3`), and what one answered: `no_requeue` is not in
that description and counts, `requeue` is and does not.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from studiolo.engines.base import Machine
from studiolo.engines.slurm.dialect import JOB_MARK, Command, Job, Submission, UnreadableAnswerError
from studiolo.engines.slurm.rest_client import DAEMON
from studiolo.engines.slurm.slurm import Slurm, count_gpus, is_usable, read_job

_API = "/slurm/v0.0.38"
_OPTIONS = {"constraint": "constraints"}


class SlurmREST(Slurm):
    """Slurm 22.05 to 23.11. `holds_limits`: whether cgroups hold jobs to theirs, which the daemon does not tell."""

    def __init__(self, *, holds_limits: bool) -> None:
        self._limits = "engine" if holds_limits else "none"

    def submit(self, job: Submission) -> Command:
        """See Dialect.submit. Memory goes in MiB, the time limit in minutes, both rounded up."""
        wanted: dict[str, Any] = {
            "name": job.name,
            "current_working_directory": str(job.folder),
            "standard_output": str(job.log).replace("%", "%%"),
            # The daemon wants some; the script sets its own.
            "environment": {"PATH": "/usr/bin:/bin"},
            "no_requeue": True,
            "nodes": 1,
            "tasks": 1,
            "cpus_per_task": job.cpu,
        }
        if job.memory is not None:
            wanted["memory_per_node"] = -(-job.memory // 1024**2)
        if job.gpu:
            wanted["gres"] = ":".join(filter(None, (job.gres, job.gpu_type, str(job.gpu))))
        if job.seconds is not None:
            wanted["time_limit"] = -(-job.seconds // 60)
        wanted |= {_OPTIONS.get(name, name): value for name, value in job.options.model_dump(exclude_none=True).items()}
        body = json.dumps({"script": job.script, "job": wanted})
        return Command((DAEMON, "POST", f"{_API}/job/submit"), stdin=body)

    def read_id(self, output: str) -> str:
        """See Dialect.read_id. Beside the id there may be words, such as that no node is free."""
        job_id = _read(output).get("job_id")
        if not isinstance(job_id, int) or job_id <= 0:
            raise UnreadableAnswerError(f"slurmrestd answered no job id but {output[:100]!r}")
        return str(job_id)

    def list_jobs(self) -> Command:
        """See Dialect.list_jobs. The daemon lists all people's."""
        return Command((DAEMON, "GET", f"{_API}/jobs"))

    def read_jobs(self, output: str) -> list[Job]:
        """See Dialect.read_jobs."""
        jobs = _read(output).get("jobs")
        if not isinstance(jobs, list):
            raise UnreadableAnswerError("slurmrestd answered no list of jobs")
        ours = (job for job in jobs if isinstance(job, dict) and str(job.get("name")).startswith(JOB_MARK))
        return [_read_model(job) for job in ours]

    def ask_to_end(self, job_id: str) -> Command:
        """See Dialect.ask_to_end."""
        return Command((DAEMON, "DELETE", f"{_API}/job/{quote(job_id, safe='')}?signal=TERM"))

    def end(self, job_id: str) -> Command:
        """See Dialect.end."""
        return Command((DAEMON, "DELETE", f"{_API}/job/{quote(job_id, safe='')}"))

    def account(self, job_id: str) -> None:
        """See Dialect.account: the records have an interface of their own, which few daemons serve."""
        return

    def measure(self, job_ids: Sequence[str]) -> None:
        """See Dialect.measure: the daemon does not tell."""
        return

    def describe(self, partition: str | None) -> Sequence[Command]:
        """See Dialect.describe."""
        nodes = Command((DAEMON, "GET", f"{_API}/nodes"))
        if partition is None:
            return (nodes,)
        return nodes, Command((DAEMON, "GET", f"{_API}/partition/{quote(partition, safe='')}"))

    def read_machine(self, outputs: Sequence[str]) -> Machine:
        """See Dialect.read_machine."""
        nodes, *chosen = (_read(output) for output in outputs)
        names = {one.get("name") for found in chosen for one in found.get("partitions", [])}
        usable = [
            node
            for node in nodes.get("nodes", [])
            if is_usable(str(node.get("state")))
            and (not chosen or names & set(node.get("partitions") or ()))
            # A node that is being drained says so by a flag.
            and "DRAIN" not in (node.get("state_flags") or ())
        ]
        return Machine(
            cpu=float(sum(int(node.get("cpus") or 0) for node in usable)),
            memory=sum(int(node.get("real_memory") or 0) for node in usable) * 1024**2,
            gpu=sum(count_gpus(str(node.get("gres") or "")) for node in usable),
            cpu_limits=self._limits,
            memory_limits=self._limits,
            process_limits="none",
        )


def _read(output: str) -> dict[str, Any]:
    try:
        found = json.loads(output)
    except ValueError as exc:
        raise UnreadableAnswerError("slurmrestd answered no JSON") from exc
    if not isinstance(found, dict):
        raise UnreadableAnswerError("slurmrestd answered JSON of another shape")
    return found


def _read_model(job: dict[str, Any]) -> Job:
    # As wait(2) has it; of a job that has not ended, 0.
    status = job.get("exit_code")
    number = status if isinstance(status, int) and 0 <= status < 2**16 else 0
    return read_job(
        *(str(job.get("job_id")), str(job.get("name")), str(job.get("job_state")), str(job.get("state_reason") or "")),
        *(str(job.get("start_time")), str(job.get("end_time")), str(job.get("batch_host") or "")),
        code=number >> 8,
        signal=number & 0x7F or None,
    )
