"""Programs of the platform's that its workloads may use: last on their PATH, so that their own come first."""

import contextlib
import shlex
import sys
from pathlib import Path

import uv

from studiolo.kit.files import write_atomically
from studiolo.runtime import condacommand

_OFFERED = ("uv", "uvx")
# What refusals tell people to type; it signs in by the session's own key.
_OURS = ("ml", "studiolo")


def tools_folder(data_dir: Path) -> Path:
    """Return where the programs are."""
    return data_dir / "tools"


def offer_tools(data_dir: Path) -> Path:
    """Make the folder with the programs, as they lie now; returns it. Repeatable. Raises OSError."""
    folder = tools_folder(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _OFFERED:
        program, link = Path(uv.find_uv_bin()).with_name(name), folder / name
        if not program.exists() or (link.is_symlink() and link.readlink() == program):
            continue
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        with contextlib.suppress(FileExistsError):
            link.symlink_to(program)
    _offer_program(folder / "conda", Path(condacommand.__file__))
    for name in _OURS:
        script = Path(sys.executable).with_name(name)
        if script.exists():
            _offer_program(folder / name, script)
    return folder


def _offer_program(program: Path, script: Path) -> None:
    """Have `program` run a script by our own interpreter, whatever the variables say of Python.

    A line of its own: an interpreter named in the first line may have no blank in its path.
    """
    text = f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", str(script)])} "$@"\n'
    if not program.is_file() or program.read_text() != text:
        write_atomically(program, text, mode=0o755)
