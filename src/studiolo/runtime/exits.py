"""Why a session ended, decided from its exit status and what was known around it."""

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OOMKills:
    """Kills for lack of memory so far, in the session's control group and on the machine; None: unknown."""

    group: int | None
    machine: int | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session's server ended. `status` is as os.waitpid gives it through os.waitstatus_to_exitcode."""

    status: int
    was_ready: bool
    stop_was_asked: bool
    grace_ran_out: bool
    grace_seconds: float
    before: OOMKills
    after: OOMKills


def explain(ending: Ending) -> tuple[str, str]:
    """Return (reason, message for a person); the reasons are those of `engines.base.Exit`."""
    if ending.stop_was_asked:
        if ending.grace_ran_out:
            return "stopped", (
                f"The session was stopped. It did not end by itself within {ending.grace_seconds:g} s, "
                "so it was killed; what was not saved is lost."
            )
        return "stopped", "The session was stopped."
    if -ending.status == signal.SIGKILL:
        return _explain_kill(ending)
    if not ending.was_ready:
        return "never-ready", f"JupyterLab {_how(ending.status)} before it was ready; the log says why."
    if ending.status < 0:
        return "killed", f"JupyterLab {_how(ending.status)}."
    if ending.status == 0:
        return "server-exited", "JupyterLab was shut down from inside the session."
    return "server-exited", f"JupyterLab {_how(ending.status)}; the log says why."


def count_oom_kills() -> OOMKills:
    """Read the kernel's counters of kills for lack of memory, where they can be read."""
    machine = _counter(Path("/proc/vmstat"), "oom_kill")
    return OOMKills(_group_kills(), machine)


def _explain_kill(ending: Ending) -> tuple[str, str]:
    if _rose(ending.before.group, ending.after.group):
        return "out-of-memory", "The session used more memory than it may and was ended by the system."
    if _rose(ending.before.machine, ending.after.machine):
        return "out-of-memory", "The machine ran out of memory and the system ended the session."
    if ending.after.group is None and ending.after.machine is None:
        return "killed", "JupyterLab was killed from outside, probably because the machine ran out of memory."
    return "killed", "JupyterLab was killed from outside (SIGKILL); the system reports no lack of memory."


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with exit code {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def _rose(before: int | None, after: int | None) -> bool:
    return after is not None and after > (before or 0)


def _group_kills() -> int | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                return _counter(Path(f"/sys/fs/cgroup{path}/memory.events"), "oom_kill")
            if "memory" in controllers.split(","):
                return _counter(Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control"), "oom_kill")
    return None


def _counter(file: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return None
