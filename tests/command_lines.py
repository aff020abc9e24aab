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
    program: str, words: Sequence[str], *, variables: Mapping[str, str], folder: Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `studiolo`, `ml` or `jupyter-studiolo` to its end, as its entry point does.

    Raises subprocess.TimeoutExpired.
    """
    with tempfile.TemporaryDirectory(prefix="st-") as place:
        streams = given, out, err = Path(place, "in"), Path(place, "out"), Path(place, "err")
        given.write_text(stdin)
        process = _FORKS.Process(target=_become, args=(program, words, dict(variables), folder, streams))
        process.start()
        process.join(_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([program, *words], _SECONDS)
        return subprocess.CompletedProcess([program, *words], process.exitcode, out.read_text(), err.read_text())


def _become(
    program: str, words: Sequence[str], variables: Mapping[str, str], folder: Path, streams: Sequence[Path]
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    for number, path in enumerate(streams):
        with path.open("w" if number else "r") as file:
            os.dup2(file.fileno(), number)
    # Forks get one that is empty.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv = [program, *words]
    from studiolo.cli.main import main, main_ml

    sys.exit(main_ml() if program == "ml" else main())
