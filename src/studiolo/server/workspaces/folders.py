"""A workspace's folder: where it lies, what it begins with, which folders of the machine may be one."""

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.errors import Conflict, InvalidInput, Unavailable
from studiolo.contract.ids import looks_like_id
from studiolo.kit.files import write_atomically
from studiolo.kit.measuring import measure
from studiolo.runtime.acting import Owner, hand_over, owner_of
from studiolo.server.workspaces.quotas import FolderQuotas

_SYSTEM = (
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
)
_WELCOME = "welcome.ipynb"
# What lies below the data directory: folders by workspaces' ids; launches, whose engines know who may enter.
_OF_WORKSPACES = ("workspaces", "environments", "datasets")
_OF_ENGINES = ("engines", "kernels", "sessions", "tools")
# To enter for whoever knows the name.
_PASSABLE = 0o711


class Folders:
    """Knows where workspaces lie under the data directory."""

    def __init__(self, data_dir: Path, allowed_roots: list[Path]) -> None:
        self._data_dir = data_dir
        self._allowed_roots = [root.expanduser().resolve() for root in allowed_roots]
        # Which engine keeps the files of workspaces on this one (None: the default one) itself; set by `of_workspaces`.
        self.keeper_of: Callable[[str | None], str | None] = lambda engine: None
        self.quotas = FolderQuotas(data_dir / "workspaces")

    def here(self, row: RowMapping) -> Path:
        """Return the folder of a workspace (its `id`, `name`, `root`, `config`) whose files are to be used.

        Raises Conflict (`files-elsewhere`): what is in that folder is not what its sessions see.
        """
        keeper = None if row["root"] else self.keeper_of((row["config"] or {}).get("engine"))
        if keeper is not None:
            raise Conflict(
                "files-elsewhere",
                f"The files of {row['name']!r} are kept by the engine {keeper}, where only its sessions reach them.",
                hint=f"Open a session there, or bring it here: studiolo move {row['name']} ENGINE.",
                engine=keeper,
            )
        return self.of(row["id"], row["root"])

    def of(self, workspace_id: str, root: str | None) -> Path:
        """The folder of a workspace."""
        return Path(root) if root else self._data_dir / "workspaces" / workspace_id

    def environment(self, workspace_id: str) -> Path:
        """The prefix of a workspace's own environment."""
        return self._data_dir / "environments" / workspace_id

    def of_person(self, workspace_id: str, person_id: str) -> Path:
        """Where a person's own settings of tools in a workspace lie; not among the workspace's files."""
        return self._data_dir / "people" / person_id / workspace_id

    def give(self, workspace_id: str, folder: Path) -> None:
        """Have a folder that was made for a workspace, aside or whole, belong to whom its files do. Raises OSError."""
        owner = owner_of(self.of(workspace_id, None))
        if owner is not None and owner_of(folder) != owner:
            folder.chmod(0o700)
            hand_over(folder, owner)

    def make_of_person(self, workspace_id: str, person_id: str) -> None:
        """Make the folder of a person's own settings in a workspace. Repeatable. Raises OSError."""
        folder = self.of_person(workspace_id, person_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.give(workspace_id, folder)
        if owner_of(folder) is not None:
            folder.parent.chmod(_PASSABLE)

    def list_owned(self) -> list[tuple[str, Path]]:
        """List folders of one workspace each, with its id: files, environment, datasets, what people set there."""
        tops = [*(self._data_dir / name for name in _OF_WORKSPACES), *_folders_in(self._data_dir / "people")]
        return [(folder.name, folder) for top in tops for folder in _folders_in(top) if looks_like_id(folder.name)]

    def open_the_way(self) -> None:
        """Let accounts pass to their workspaces' folders, and nowhere else. Raises OSError."""
        self._data_dir.chmod(_PASSABLE)
        # Before others make them as they are used to.
        for name in (*_OF_WORKSPACES, "people", "cache", "discarded"):
            (self._data_dir / name).mkdir(mode=0o700, exist_ok=True)
        people = _folders_in(self._data_dir / "people")
        for entry in (*self._data_dir.iterdir(), *people):
            if entry in people or entry.name in (*_OF_WORKSPACES, "people", "front-door"):
                entry.chmod(_PASSABLE)
            elif entry.name not in _OF_ENGINES and not entry.is_symlink():
                entry.chmod(stat.S_IMODE(entry.stat().st_mode) & 0o700)

    def check_root(self, text: str, *, is_admin: bool) -> Path:
        """Return the folder that `text` names if this person may use it as a workspace.

        Raises InvalidInput (`folder-not-allowed`) naming the rule that forbids it.
        """
        if not text.startswith("/") or "\0" in text:
            raise InvalidInput(
                "folder-not-allowed", f"{text[:80]!r} is not an absolute folder of the server's machine."
            )
        try:
            folder = Path(text).resolve()
        except (OSError, RuntimeError) as exc:
            raise InvalidInput("folder-not-found", f"The folder {text[:200]!r} cannot be followed.") from exc
        data_dir = self._data_dir.resolve()
        if str(folder) in _SYSTEM or folder.is_relative_to(data_dir) or data_dir.is_relative_to(folder):
            raise InvalidInput(
                "folder-not-allowed",
                f"{str(folder)!r} belongs to the system or the platform and cannot be given to people.",
            )
        if any(str(folder).startswith(f"{top}/") for top in ("/proc", "/sys", "/dev", "/etc", "/boot")):
            raise InvalidInput(
                "folder-not-allowed", f"{str(folder)!r} belongs to the system and cannot be given to people."
            )
        if not is_admin and not any(folder.is_relative_to(root) for root in self._allowed_roots):
            raise InvalidInput(
                "folder-not-allowed",
                f"{str(folder)!r} lies under none of the folders that an administrator opened for workspaces.",
                hint="Ask an administrator to add it to workspaces.allowed_roots, or name a workspace instead.",
            )
        return folder

    def prepare(self, folder: Path, name: str, owner: Owner | None) -> None:
        """Make the folder with `notebooks/` and, in a new one, a short welcome notebook. Repeatable.

        All in it is given to `owner`, whom nobody knows before; None: it stays whose it is.
        Raises Unavailable (`disk-full`, `read-only`) or InvalidInput (`folder-not-found`).
        """
        try:
            is_new = not folder.exists() or not any(folder.iterdir())
            (folder / "notebooks").mkdir(parents=True, exist_ok=True)
            if is_new:
                write_atomically(folder / "notebooks" / _WELCOME, _welcome(name), mode=0o644)
            if owner is not None:
                folder.chmod(0o700)
                hand_over(folder, owner)
        except OSError as exc:
            if exc.errno == 28:
                raise Unavailable("disk-full", "The disk is full; the workspace was not made.") from exc
            raise InvalidInput(
                "folder-not-found",
                f"The folder {str(folder)!r} cannot be used: {exc.strerror or exc}.",
                hint="The account that runs the platform must be able to write there.",
            ) from exc

    def measure(self, folder: Path, *, within: timedelta = timedelta(seconds=2)) -> int | None:
        """Return the bytes of all files below `folder`, links not followed; None if that takes longer."""
        size, is_whole = measure([folder], time.monotonic() + within.total_seconds())
        return size if is_whole else None

    def list_ids(self) -> list[str]:
        """List the ids of workspaces whose files lie in our own place."""
        place = self._data_dir / "workspaces"
        return [entry.name for entry in os.scandir(place) if looks_like_id(entry.name)] if place.is_dir() else []

    def erase_files(self, workspace_id: str) -> None:
        """Remove the files that lie in our own place; a folder of the machine stays its people's. Repeatable."""
        shutil.rmtree(self.of(workspace_id, None), ignore_errors=True)

    def discard_files(self, workspace_id: str, at: datetime) -> None:
        """Put all files of a workspace aside in one step, to be erased when the retention is over."""
        self._discarded.mkdir(exist_ok=True)
        since = int(at.timestamp())
        while (self._discarded / f"{workspace_id}.{since}").exists():
            since += 1
        with contextlib.suppress(FileNotFoundError):
            self.of(workspace_id, None).rename(self._discarded / f"{workspace_id}.{since}")

    def erase_discarded(self, before: datetime) -> None:
        """Remove files that were put aside before a time."""
        if self._discarded.is_dir():
            for entry in os.scandir(self._discarded):
                since = entry.name.rpartition(".")[2]
                if since.isdecimal() and int(since) < before.timestamp():
                    shutil.rmtree(entry.path, ignore_errors=True)

    def part_of(self, workspace_id: str) -> Path:
        """Return where files of a workspace to be are gathered, until all are there."""
        return self._data_dir / "workspaces" / f".{workspace_id}{_PART}"

    def erase_parts(self, before: datetime) -> None:
        """Remove what copies that were killed left, if nothing was added to it since a time."""
        for part in (self._data_dir / "workspaces").glob(f".*{_PART}"):
            if part.stat(follow_symlinks=False).st_mtime < before.timestamp():
                shutil.rmtree(part, ignore_errors=True)

    def caches(self, workspace_id: str) -> list[Path]:
        """List the folders in which tools of the workspace's people keep what they can make or load again."""
        people = self._data_dir / "people"
        return [cache for cache in people.glob(f"*/{workspace_id}/cache") if cache.is_dir() and not cache.is_symlink()]

    @property
    def _discarded(self) -> Path:
        return self._data_dir / "discarded"


_PART = ".part"
_WELCOME_CELLS = (
    ("markdown", "# {name}\n\nThis folder is your workspace. Files, kernels and output stay when you close the tab."),
    (
        "code",
        "import matplotlib.pyplot as plt\nimport pandas as pd\n\n"
        "sales = pd.DataFrame({{'month': range(1, 7), 'sold': [3, 5, 4, 8, 9, 12]}})\n"
        "sales.plot(x='month', y='sold', legend=False)\nplt.show()",
    ),
    ("markdown", "Packages you install here (`%pip install …`) belong to this workspace alone."),
)


def _folders_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]


def _welcome(name: str) -> str:
    cells: list[dict[str, Any]] = [
        {"cell_type": kind, "id": f"welcome-{number}", "metadata": {}, "source": source.format(name=name)}
        | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        for number, (kind, source) in enumerate(_WELCOME_CELLS)
    ]
    document = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1) + "\n"
