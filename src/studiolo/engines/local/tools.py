"""Programs of the platform's that its workloads may use: last on their PATH, so that their own come first."""

import contextlib
from pathlib import Path

import uv

_OFFERED = ("uv", "uvx")


def tools_folder(data_dir: Path) -> Path:
    """Return where the programs are."""
    return data_dir / "tools"


def offer_tools(data_dir: Path) -> Path:
    """Make the folder with links to the programs, as they lie now; returns it. Repeatable. Raises OSError."""
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
    return folder
