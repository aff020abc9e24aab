"""What the files and processes of a session's launch say about it, in the words of engines."""

import shutil
from pathlib import Path

from studiolo.engines.base import Observation, Phase
from studiolo.engines.launch_files import read_exit
from studiolo.runtime import processes
from studiolo.runtime.groups import Group
from studiolo.runtime.kept import Kept
from studiolo.runtime.launch import MARKER, LaunchFiles, read_json
from studiolo.runtime.registrations import end_kernels


class Launch(Kept):
    """One launch as it lies on disk."""

    child = "session"

    def __init__(self, name: str, files: LaunchFiles, sockets: Path) -> None:
        super().__init__(files, sockets / name)
        self.name = name
        self.sockets = sockets

    @property
    def socket(self) -> Path:
        """Where the session's server listens."""
        return self.sockets / f"{self.name}.sock"

    def observe(self) -> Observation | None:
        """Return what is seen, or None when the shim is gone without a word and `bury` must be asked.

        Takes well under a millisecond.
        """
        ended = read_exit(self.files)
        if ended is None:
            if self.is_held():
                if self.files.ready.exists():
                    return Observation(Phase.READY, upstream=f"unix/{self.socket}")
                return Observation(Phase.STARTING)
            # The shim writes first and dies then.
            ended = read_exit(self.files)
        return Observation(Phase.ENDED, exit=ended) if ended else None

    def group(self) -> Group:
        """See Kept.group: as the shim recorded it."""
        return Group.of((read_json(self.files.shim) or {}).get("groups", {}), self.name)

    def list_marked(self) -> list[processes.Process]:
        """See Kept.list_marked."""
        return processes.list_marked(MARKER, self.name)

    def clear_up(self) -> None:
        """See Kept.clear_up."""
        end_kernels(self.run_folder / "kernels")
        shutil.rmtree(self.run_folder, ignore_errors=True)
        self.socket.unlink(missing_ok=True)

    def explain_vanished(self, *, same_boot: bool) -> str:
        """See Kept.explain_vanished."""
        if not same_boot:
            return "The machine was restarted while the session ran."
        return (
            "The process that looked after the session was killed, and the session ended with it. "
            "What was not saved is lost."
        )
