"""The script of a job: a fixed text with values quoted as data. It holds no secret."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

# What batch systems and their nodes say to a job. All else that comes along (a login's variables, those of the node's
# daemon) stays out of sessions.
_KEPT = (
    "SLURM_*|PBS_*|LSB_*|LSF_*|JOB_ID|SGE_*|NSLOTS|_CONDOR_*|TMPDIR|CUDA_VISIBLE_DEVICES|NVIDIA_*|ROCR_VISIBLE_DEVICES"
    "|HIP_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL|ZE_AFFINITY_MASK"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

_TEXT = """#!/bin/sh
# A session of Studiolo: its server reads from its own folder what it is to do.
PATH={path}
for name in $(env | sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'); do
  case $name in
    PATH|{kept}) ;;
    *) unset "$name" ;;
  esac
done
export PATH HOME={home} LANG=C.UTF-8
exec {program}
"""


def job_program(*, python: Path, folder: Path) -> tuple[str, ...]:
    """Return what runs the launch in `folder`. Its process is the session's shim, which hears SIGTERM."""
    return str(python), "-P", "-m", "studiolo.runtime.workload", str(folder)


def job_script(program: Sequence[str], *, home: Path) -> str:
    """Return the script of a shell that becomes `program`.

    Raises ValueError for a word with a line break or another control character: systems read lines of comments that
    begin with their mark (`#SBATCH`, `#PBS`, `#$`) as options, wherever in the text they stand.
    """
    for word in (*program, str(home)):
        if _CONTROL.search(word):
            raise ValueError(f"{word!r} has a control character in it")
    return _TEXT.format(path=_PATH, kept=_KEPT, home=shlex.quote(str(home)), program=shlex.join(program))
