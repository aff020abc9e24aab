"""A launch's folders on this machine, those that its container has and those that are ours alone.

What the container can write to, a member may have filled with links and lies: nothing there is followed, and
nothing that is read there decides whether the launch lives.
"""

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from studiolo.engines.base import Exit, Handle
from studiolo.engines.launch_files import last_death, read_exit
from studiolo.kit.files import write_atomically
from studiolo.runtime.launch import LaunchFiles, beside, read_json


@dataclass(frozen=True, slots=True)
class Launch:
    """Where one launch of a workload has what. `base` is the engine's own folder, `sockets` the private short one."""

    base: Path
    sockets: Path
    workload_id: str
    number: int

    @property
    def name(self) -> str:
        """`<workload id>.<launch>`."""
        return f"{self.workload_id}.{self.number}"

    @property
    def handle(self) -> Handle:
        """What names it for the platform."""
        return {"workload_id": self.workload_id, "launch": self.number}

    @property
    def private(self) -> Path:
        """Ours: what is to be made, and how it ended. Outlives the container."""
        return self.base / self.workload_id / str(self.number)

    @property
    def files(self) -> LaunchFiles:
        """The launch's files, which the container writes."""
        return LaunchFiles(self.private / "files")

    @property
    def run_folder(self) -> Path:
        """Short and private; the container's sockets are in it.

        Not where sessions of this machine have theirs: what lies there is believed, as to how kernels are started.
        """
        return self.sockets / "c" / self.name

    @property
    def socket(self) -> Path:
        """Where the session's server listens, as the container sees it."""
        return self.run_folder / "s.sock"

    @property
    def upstream(self) -> Path:
        """The very socket that the server listens on, under a name that the container cannot give to another."""
        return self.sockets / f"{self.name}.sock"

    @property
    def kernels(self) -> Path:
        """Likewise of the kernel host beside it."""
        return self.sockets / f"{self.name}.kernels"

    @property
    def home(self) -> Path:
        """The home folder of the workload's launches."""
        return self.base / self.workload_id / "home"

    @property
    def jupyter(self) -> Path:
        """Where Jupyter's own files lie if nobody says where."""
        return self.base / self.workload_id / "jupyter"

    @property
    def cover(self) -> Path:
        """Empty folders to mount others at."""
        return self.private / "cover"

    @property
    def plan(self) -> Path:
        """The container that is to be made; gone once it has begun."""
        return self.private / "plan.json"

    @property
    def is_known(self) -> bool:
        """Whether the launch was ever taken on here."""
        return self.plan.exists() or self.was_begun or self._kept.exit.exists()

    @property
    def was_begun(self) -> bool:
        """Whether its container was started, or given up."""
        return self._begun.exists()

    def make_folders(self) -> None:
        """Make all of them. Raises OSError."""
        for folder in (self.private, self.files.folder, self.run_folder.parent, self.run_folder, self.home):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_plan(self, image: str, config: Mapping[str, Any], *, pull: bool) -> None:
        """Write down the container that is to be made; it holds no secret. Raises OSError."""
        write_atomically(self.plan, json.dumps({"image": image, "config": config, "pull": pull}))

    def read_plan(self) -> dict[str, Any] | None:
        """Return {image, config, pull} of the container that is to be made, None when there is nothing left to do."""
        return read_json(self.plan)

    def note_begun(self) -> None:
        """Have the plan count as carried out. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self.plan.replace(self._begun)

    def read_end(self) -> Exit | None:
        """Return how the launch ended, once that was kept."""
        return read_exit(self._kept)

    def keep_end(self, end: Exit) -> Exit:
        """Keep how the launch ended, and return what was kept: the first word stands. Raises OSError."""
        if (known := self.read_end()) is not None:
            return known
        record = {part.name: getattr(end, part.name) for part in fields(end)}
        write_atomically(self._kept.exit, json.dumps(record | {"at": end.at.isoformat()}))
        return end

    def note_stop(self, grace_seconds: float) -> None:
        """Tell the shim how long a stop may take, and ourselves that it was asked for. Raises OSError."""
        asked = json.dumps({"grace_seconds": grace_seconds, "at": time.time()})
        # The shim's copy is for another account; the folder may be gone.
        write_atomically(self._kept.stop, asked)
        with contextlib.suppress(OSError):
            write_atomically(self.files.stop, asked, mode=0o644)

    @property
    def was_stopped(self) -> bool:
        """Whether somebody asked for its end."""
        return self._kept.stop.exists()

    @property
    def was_ready(self) -> bool:
        """Whether its server listened, by its own word."""
        return os.path.lexists(self.files.ready)

    def mark(self) -> tuple[object, ...]:
        """Return something that changes when what the launch tells by its files does."""
        try:
            socket = self.socket.lstat().st_ino
        except OSError:
            socket = 0
        return self.was_ready, socket, last_death(self.files)

    def hold_socket(self) -> bool:
        """Give the server's socket the name `upstream`; False while there is none. Repeatable. Raises OSError."""
        return _hold(self.socket, self.upstream)

    def hold_kernels(self) -> bool:
        """Give the kernel host's socket the name `kernels`; False where there is none. Repeatable. Raises OSError."""
        return _hold(beside(self.socket), self.kernels)

    def clear_up(self) -> None:
        """Remove what only a running launch needs."""
        for file in (self.upstream, self.kernels, self.plan, self.files.request):
            with contextlib.suppress(OSError):
                file.unlink()
        shutil.rmtree(self.run_folder, ignore_errors=True)

    @property
    def _begun(self) -> Path:
        return self.private / "container.json"

    @property
    def _kept(self) -> LaunchFiles:
        # Of the same form as the container's, and not within its reach.
        return LaunchFiles(self.private)


def _hold(socket: Path, name: Path) -> bool:
    """Give a container's socket a name of ours.

    A name in the container's folder could be turned into a link to any socket of this machine.
    """
    try:
        theirs = socket.lstat()
        if name.exists() and os.path.samestat(theirs, name.lstat()):
            return True
        fresh = name.with_name(f"{name.name}.new")
        fresh.unlink(missing_ok=True)
        os.link(socket, fresh, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(fresh.lstat().st_mode):
        fresh.unlink()
        return False
    fresh.replace(name)
    return True
