"""What is put into a job's script stays data, whatever it holds."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.engines.slurm.script import job_program, job_script

HOME = Path("/home/ana")
# A path component has no slash and no zero byte; control characters are refused, which has its own test.
components = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=40)


@settings(deadline=None)
@given(folder=components, home=components)
def test_a_shell_reads_each_path_as_one_word(folder: str, home: str) -> None:
    program = ("/usr/bin/printf", "%s\\0", f"/data/{folder}", f"/data/{home}")
    script = job_script(program, home=Path(f"/home/{home}"))
    done = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, check=True, timeout=30)
    assert done.stdout.decode() == f"/data/{folder}\0/data/{home}\0"


@settings(deadline=None)
@given(folder=components)
def test_no_path_becomes_a_line_of_its_own_that_a_scheduler_would_read(folder: str) -> None:
    script = job_script(job_program(python=Path("/usr/bin/python3"), folder=Path(f"/data/{folder}")), home=HOME)
    assert not re.search(r"^#(SBATCH|PBS|BSUB|\$)", script, re.MULTILINE)


@pytest.mark.parametrize("character", ["\n", "\r", "\x00", "\x1b", "\x7f"])
def test_a_control_character_in_a_path_is_refused(character: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        job_script(("/usr/bin/python3", f"/data/a{character}#SBATCH --uid=0"), home=HOME)


def test_only_what_the_scheduler_says_is_left_of_the_environment() -> None:
    script = job_script(("/usr/bin/env",), home=HOME)
    given = {
        "SLURM_JOB_ID": "17",
        "CUDA_VISIBLE_DEVICES": "1",
        "TMPDIR": "/tmp",
        "SECRET": "a\nLD_PRELOAD=x",
        "PATH": "/x",
    }
    done = subprocess.run(["/bin/sh"], input=script, env=given, capture_output=True, text=True, check=True, timeout=30)
    left = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert {name: left.pop(name) for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES", "TMPDIR", "HOME", "LANG")} == {
        "SLURM_JOB_ID": "17",
        "CUDA_VISIBLE_DEVICES": "1",
        "TMPDIR": "/tmp",
        "HOME": "/home/ana",
        "LANG": "C.UTF-8",
    }
    assert set(left) <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}
