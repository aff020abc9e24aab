"""Where a kernel starts."""

from pathlib import Path

from studiolo.gateway.base import Wish

# The folder where a client on the same files runs, by its absolute name. Source: jupyter_server's gateway client.
WORKING_FOLDER = "KERNEL_WORKING_DIR"


def start_folder(root: Path, wish: Wish) -> Path:
    """Return the folder of a path (of a notebook or a folder, relative to `root`), or the nearest one that exists.

    Without a path it is the client's own folder, where that is one within `root`: clients on other machines name
    theirs too. What leads out of `root`, by a link too, gives `root`. Source: jupyter_server, cwd_for_path.
    """
    outermost = root.resolve()
    if wish.path is None:
        found = _resolved(outermost / wish.variables.get(WORKING_FOLDER, ""))
        return found if found.is_relative_to(outermost) and _is_folder(found) else root
    found = _resolved(outermost / wish.path.strip("/"))
    if not found.is_relative_to(outermost):
        return root
    while not _is_folder(found) and found != outermost:
        found = found.parent
    return found


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError:
        # Links that lead in a ring.
        return path.absolute()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # A name that is longer than any file's.
        return False
