"""What a launch asks of the batch system, and what it tells its session by a private file."""

import math
import os
import secrets
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from studiolo.engines.base import WorkloadSpec
from studiolo.engines.launch_files import Places, make_request, write_request
from studiolo.engines.plugins import EngineGround, read_options
from studiolo.engines.slurm.dialect import JOB_MARK, Dialect, Submission
from studiolo.engines.slurm.launches import JobLaunch
from studiolo.engines.slurm.script import job_program, job_script
from studiolo.engines.slurm.settings import BatchOptions, BatchSettings
from studiolo.engines.tools import tools_folder

# What holds on the platform's machine only.
_NOT_THERE = {"TMPDIR", "XDG_RUNTIME_DIR", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "PATH"}


class Requests:
    """Knows names and places of launches."""

    def __init__(self, ground: EngineGround, settings: BatchSettings, dialect: Dialect) -> None:
        self._dialect = dialect
        self._settings = settings
        self._grace = timedelta(seconds=ground.stop_grace)
        self._tools = tools_folder(ground.data_dir)
        self._launches = settings.submit_folder or ground.data_dir / "engines" / "slurm"
        # Others may use the same batch system, also other platforms under the same account.
        self._mark = f"{JOB_MARK}{ground.instance}-"

    def launch(self, workload_id: str, number: int) -> JobLaunch:
        """Return a launch by its number."""
        return JobLaunch(self.folder(workload_id) / str(number), f"{workload_id}.{number}")

    def folder(self, workload_id: str) -> Path:
        """Return the folder of a workload's launches."""
        return self._launches / workload_id

    def job_name(self, launch: JobLaunch) -> str:
        """Return the name of the launch's job, by which it is found again."""
        return self._mark + launch.name

    def read_name(self, job_name: str) -> tuple[str, int] | None:
        """Return workload id and number of a job that is this platform's; None for any other."""
        workload_id, _, number = job_name.removeprefix(self._mark).rpartition(".")
        if not job_name.startswith(self._mark) or not workload_id or not number.isdecimal():
            return None
        return workload_id, int(number)

    def write(self, spec: WorkloadSpec, launch: JobLaunch) -> None:
        """Put what the session is told into its folder. Raises OSError."""
        settings = self._settings
        # Nobody else on the node can make it first, since nobody knows its name.
        run_folder = settings.node_folder / f"studiolo-{secrets.token_hex(6)}"
        places = Places(
            files=launch.files,
            run_folder=run_folder,
            socket=run_folder / "session.sock",
            private_folder=self.folder(spec.workload_id) / "jupyter",
            tools=self._tools,
        )
        host = f"[{settings.listen}]" if ":" in settings.listen else settings.listen
        request = make_request(
            spec, places, grace=self._grace, machine=self._machine(), listen=f"tcp://{host}:0", advertise="node"
        )
        write_request(launch.files, request)

    def submission(self, spec: WorkloadSpec, launch: JobLaunch) -> Submission:
        """Return the job. Raises InvalidInput (`settings-invalid`), ValueError: what cannot be written."""
        settings, limits = self._settings, spec.limits
        program = job_program(python=settings.python or Path(sys.executable), folder=launch.folder)
        options = settings.options_with(read_options("slurm", BatchOptions, spec.options))
        self._dialect.check(options)
        gpu_type = settings.gpu_types.get(limits.gpu_type or "", limits.gpu_type)
        return Submission(
            name=self.job_name(launch),
            script=job_script(program, home=self._home()),
            program=program,
            home=self._home(),
            folder=launch.folder,
            log=launch.log,
            options=options,
            cpu=max(1, math.ceil(limits.cpu or 1)),
            memory=limits.memory,
            gpu=limits.gpu,
            gpu_type=gpu_type,
            gres=settings.gres,
            seconds=limits.seconds or settings.time_limit,
            extra=settings.extra,
        )

    def _home(self) -> Path:
        return self._settings.home or Path.home()

    def _machine(self) -> Mapping[str, str]:
        own = {name: value for name, value in os.environ.items() if name not in _NOT_THERE}
        return own | {"HOME": str(self._home())}
