"""Sessions and kernels of this machine under accounts, where the tests' own Python is no account's to run."""

import os
import subprocess
from pathlib import Path

import pytest

from engines import everybodys_python
from studiolo.runtime.acting import is_possible

_SECONDS = 1500


@pytest.mark.engine
@pytest.mark.skipif(not is_possible(), reason="only root of a Linux can give accounts")
@pytest.mark.timeout(_SECONDS + 60)
def test_accounts_keep_the_contract_of_engines_with_a_python_of_everybodys(pytestconfig: pytest.Config) -> None:
    if everybodys_python.is_everybodys():
        pytest.skip("the tests in engines/accounts run by themselves")
    made = everybodys_python.make()
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "engine", str(Path(__file__).parent / "accounts")]
    done = subprocess.run(
        [made["PYTHON"], *words],
        env={**os.environ, **made},
        cwd=pytestconfig.rootpath,
        timeout=_SECONDS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
