"""Programs of the platform's that its workloads may use: last on their PATH, so that their own come first."""

import contextlib
import shlex
import sys
from pathlib import Path

import uv

from studiolo.kit.files import write_atomically
from studiolo.runtime import condacommand

_OFFERED = ("uv", "uvx")


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
    _offer_conda(folder / "conda")
    return folder


def _offer_conda(program: Path) -> None:
    # A line of its own: an interpreter named in the first line may have no blank in its path.
    text = f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", condacommand.__file__])} "$@"\n'
    if not program.is_file() or program.read_text() != text:
        write_atomically(program, text, mode=0o755)
