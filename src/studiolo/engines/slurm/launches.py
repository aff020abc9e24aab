"""A job's launch in its folder, which the nodes share: what was asked for, what the session says, how it ended."""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from studiolo.engines import launch_files
from studiolo.engines.base import Exit
from studiolo.runtime.launch import LaunchFiles, read_json, write_json

_VAGUE = {"stopped", "killed", "vanished"}
# Beyond its grace a session that runs takes some seconds to end what is left; then the scheduler ends it.
_OVERDUE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the files of a launch say.

    `end`: how it ended, as we found it once and for all; `exit`: how its own shim says that it ended. `port`: where its
    server listens; `kernels_port`: the kernel host beside it. `stop_asked`: by us. `has_begun`: its program ran.
    """

    end: Exit | None = None
    exit: Exit | None = None
    port: int | None = None
    kernels_port: int | None = None
    stop_asked: bool = False
    has_begun: bool = False

    @property
    def is_vague(self) -> bool:
        """Whether the scheduler may know more of the end than the shim, which only hears a signal."""
        exit = self.exit
        return exit is not None and exit.reason in _VAGUE and not (exit.reason == "stopped" and self.stop_asked)


class JobLaunch:
    """One launch. `name` is `<workload id>.<launch>`. All methods read or write files; they raise OSError."""

    def __init__(self, folder: Path, name: str) -> None:
        self.files = LaunchFiles(folder)
        self.name = name

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.files.folder

    @property
    def log(self) -> Path:
        """What the job printed before its session had a log: why a shell could not run it."""
        return self.folder / "job.log"

    @property
    def _job(self) -> Path:
        """{job: its id, or null between asking for it and knowing it}."""
        return self.folder / "job.json"

    @property
    def _end(self) -> Path:
        """{reason, message, at, …}, as in base.Exit: how it ended, kept for when the scheduler has forgotten it."""
        return self.folder / "end.json"

    def look(self) -> Seen:
        """Read what the files say."""
        files = self.files
        return Seen(
            end=self._read_end(),
            exit=launch_files.read_exit(files),
            port=_port(launch_files.read_address(files)),
            kernels_port=_port(launch_files.read_kernels_address(files)),
            stop_asked=files.stop.exists(),
            has_begun=files.shim.exists(),
        )

    def find_job(self) -> tuple[bool, str | None]:
        """Return whether the job was asked for, and its id where that is known."""
        known = read_json(self._job)
        return known is not None, (known or {}).get("job")

    def note_job(self, job_id: str | None) -> None:
        """Keep the job's id; None: it is about to be asked for. On the disk when this returns."""
        write_json(self._job, {"job": job_id}, durable=True)

    def note_end(self, end: Exit) -> Exit:
        """Keep how it ended; returns what was kept before, if something was, for an end is told once."""
        known = self._read_end()
        if known is None and self.folder.is_dir():
            write_json(self._end, asdict(end) | {"at": end.at.isoformat()})
        return known or end

    def note_stop(self, grace_seconds: float) -> bool:
        """Keep that we ended it; returns whether an earlier call has been of no effect for too long."""
        asked, now = read_json(self.files.stop), time.time()
        if asked is None or now + grace_seconds < asked["at"] + asked["grace_seconds"]:
            write_json(self.files.stop, {"grace_seconds": grace_seconds, "at": now})
        return asked is not None and now > asked["at"] + asked["grace_seconds"] + _OVERDUE_SECONDS

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended, or never was."""
        return self._end.exists() or self.files.exit.exists() or not self.folder.is_dir()

    def _read_end(self) -> Exit | None:
        known: dict[str, Any] | None = read_json(self._end)
        return Exit(**known | {"at": datetime.fromisoformat(known["at"])}) if known else None


def _port(address: str | None) -> int | None:
    port = address.rpartition(":")[2] if address else ""
    return int(port) if port.isdecimal() and 1024 <= int(port) <= 65535 else None
