"""Command lines as processes of their own, forked from one that has loaded them: each takes half a second less."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from studiolo.cli.table import COMMANDS

_SECONDS = 240
_FORKS = multiprocessing.get_context("forkserver")
# What commands load when they run comes with the first of these.
_LOADED = ["studiolo.cli.command", "studiolo.sdk", "studiolo.server.operator"]
_FORKS.set_forkserver_preload([*_LOADED, *sorted({entry.target.partition(":")[0] for entry in COMMANDS})])


def run(
    program: str, words: Sequence[str], *, variables: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run `studiolo`, `ml` or `jupyter-studiolo` to its end, as its entry point does, with nothing on stdin.

    Raises subprocess.TimeoutExpired.
    """
    with tempfile.TemporaryDirectory(prefix="st-") as place:
        out, err = Path(place, "out"), Path(place, "err")
        process = _FORKS.Process(target=_become, args=(program, words, dict(variables), folder, out, err))
        process.start()
        process.join(_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([program, *words], _SECONDS)
        return subprocess.CompletedProcess([program, *words], process.exitcode, out.read_text(), err.read_text())


def _become(
    program: str, words: Sequence[str], variables: Mapping[str, str], folder: Path, out: Path, err: Path
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        with path.open("w") as file:
            os.dup2(file.fileno(), number)
    sys.argv = [program, *words]
    from studiolo.cli.main import main, main_ml

    sys.exit(main_ml() if program == "ml" else main())
