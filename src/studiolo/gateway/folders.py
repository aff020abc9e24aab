"""Where a kernel starts."""

from pathlib import Path


def start_folder(root: Path, path: str | None) -> Path:
    """Return the folder of `path` (a notebook or a folder, relative to `root`), or the nearest one that exists.

    A path that leads out of `root`, by a link too, gives `root`. Source: jupyter_server, cwd_for_path.
    """
    outermost = root.resolve()
    found = (outermost / (path or "").strip("/")).resolve()
    if not found.is_relative_to(outermost):
        return root
    while not found.is_dir() and found != outermost:
        found = found.parent
    return found
