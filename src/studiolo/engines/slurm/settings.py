"""Settings of the engine `slurm` (the table `[engines.slurm]`), and what a profile may say for it."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from studiolo.contract.durations import Seconds

System = Literal["slurm", "pbs", "torque", "moab", "lsf", "gridengine", "htcondor"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("has a line break or another control character in it")
    return value


def _plain(value: str) -> str:
    # A word that begins with a dash would be read as another option.
    if value.startswith("-") or not value:
        raise ValueError("is empty or begins with a dash")
    return _one_line(value)


Line = Annotated[str, AfterValidator(_one_line)]
Word = Annotated[str, Field(max_length=256), AfterValidator(_plain)]


class BatchOptions(BaseModel):
    """Where a job goes. The settings say it for all, a profile (`[profiles.engines.slurm]`) for its own sessions."""

    model_config = ConfigDict(extra="forbid")

    partition: Word | None = Field(None, description="Partition or queue that takes the jobs; empty: the site's own.")
    account: Word | None = Field(None, description="Account or project that the jobs are counted on.")
    qos: Word | None = Field(None, description="Quality of service.")
    constraint: Word | None = Field(None, description="What nodes must have, in the system's own words: `a100&ib`.")
    reservation: Word | None = Field(None, description="Reservation in whose nodes the jobs run.")


class RestSettings(BaseModel):
    """Slurm's REST daemon, asked in place of the commands: its interface 0.0.38, which Slurm 22.05 to 23.11 have."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        pattern=r"^(unix:/[^\x00-\x1f]+|https?://[A-Za-z0-9.:\[\]-]+)$",
        description="Where slurmrestd listens: `unix:/run/slurmrestd/socket` or `https://head.example.org:6820`.",
    )
    user: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]*$", description="Account that the token is for; with token_file."
    )
    token_file: Path | None = Field(
        None,
        description="File that holds a JSON Web Token of that account (`scontrol token`); read each time. Empty: the "
        "daemon knows this platform by its socket.",
    )
    holds_limits: bool = Field(
        False,
        description="Whether the cluster's cgroups hold jobs to their processors and memory, which the daemon does not "
        "tell (`TaskPlugin=task/cgroup`, ConstrainCores, ConstrainRAMSpace).",
    )

    @model_validator(mode="after")
    def _check_token(self) -> "RestSettings":
        if (self.user is None) != (self.token_file is None):
            raise ValueError("user and token_file belong together")
        return self


class BatchSettings(BatchOptions):
    """A batch system whose commands can be run here, and a file system that its nodes share with the platform."""

    system: System = Field(
        "slurm", description="Whose commands are used. All but slurm are tested on documented output only."
    )
    prefix: list[Line] = Field(
        default_factory=list,
        description='What stands before each command: `["ssh", "login"]`, `["sudo", "-n", "-u", "jobs"]`.',
    )
    variables: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Line] = Field(
        default_factory=dict, description="Environment variables for the commands, such as SLURM_CONF. No secrets."
    )
    timeout_seconds: float = Field(6.0, gt=0, le=120, description="How long one command may take.")
    poll_seconds: float = Field(
        3.0, ge=0.5, le=300, description="How often the queue is listed, once for all jobs: how late an end is noticed."
    )
    rest: RestSettings | None = Field(None, description="Ask Slurm's REST daemon, and run no commands.")
    accounting: bool = Field(True, description="Ask the system's records for how a job ended that its queue forgot.")
    time_limit: Seconds | None = Field(
        None, description="Time limit of jobs whose profile sets none; empty: the partition's own."
    )
    gres: str = Field("gpu", pattern=r"^[A-Za-z0-9_]+$", description="What Slurm's nodes call their GPUs in Gres.")
    gpu_types: dict[str, Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]] = Field(
        default_factory=dict, description="The site's names for types of GPUs, by ours; others are used as they are."
    )
    extra: list[Word | Annotated[str, Field(pattern=r"^--?[A-Za-z]")]] = Field(
        default_factory=list,
        max_length=32,
        description='More arguments for the submitting command: `["--exclusive=user", "--nice=100"]`.',
    )
    submit_folder: Path | None = Field(
        None,
        description="Where the files of launches lie, on a file system that nodes have under the same path; "
        "empty: `engines/slurm` in the data directory.",
    )
    node_folder: Path = Field(
        Path("/tmp"),  # noqa: S108
        description="Folder of the node itself in which each session has a private one, for the sockets of kernels.",
    )
    python: Path | None = Field(
        None,
        description="Interpreter that has Studiolo on the nodes; empty: the platform's own, on the shared file system.",
    )
    home: Path | None = Field(None, description="Home folder of the jobs' account on the nodes; empty: as here.")
    listen: str = Field(
        "0.0.0.0",  # noqa: S104
        pattern=r"^[0-9A-Fa-f.:]+$",
        description="Address that sessions listen on at their node; each is guarded by a secret of its own.",
    )
    node_address: str = Field(
        "{host}",
        pattern=r"^[A-Za-z0-9.{}:\[\]-]+$",
        description="How the front door reaches a node; `{host}` is the name that the batch system gives it.",
    )

    def options_with(self, given: BatchOptions) -> BatchOptions:
        """Return where a job goes whose profile says `given`."""
        own = self.model_dump(include=set(BatchOptions.model_fields))
        return BatchOptions.model_validate(own | given.model_dump(exclude_none=True))
