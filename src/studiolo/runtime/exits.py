"""Why a session or kernel ended, decided from its exit status and what was known around it."""

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

_AFTER = "Variables are gone; saved files are safe."


@dataclass(frozen=True, slots=True)
class Subject:
    """What has ended, in words. `exited`: the reason when it ended by itself; `orderly`: what is said then."""

    whole: str
    program: str
    exited: str
    orderly: str


SESSION = Subject("session", "JupyterLab", "server-exited", "JupyterLab was shut down from inside the session.")
KERNEL = Subject("kernel", "The kernel", "exited", "The kernel ended by itself, or a client shut it down.")


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of memory at a server's end.

    `ran_out`: whether the session's group says that the server was killed for lack of memory; None: nothing counts it.
    `machine_kills`: such kills on the whole machine while it ran. `peak`, `limit`: bytes; `limit` only if reached.
    """

    ran_out: bool | None
    machine_kills: int | None
    peak: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session's server ended. `status` is as os.waitpid gives it through os.waitstatus_to_exitcode."""

    status: int
    was_ready: bool
    stop_was_asked: bool
    grace_ran_out: bool
    grace_seconds: float
    memory: Memory


def explain(ending: Ending, about: Subject = SESSION) -> tuple[str, str]:
    """Return (reason, message for a person); the reasons are those of `engines.base.Exit` and of kernels."""
    if ending.stop_was_asked:
        if ending.grace_ran_out:
            return "stopped", (
                f"The {about.whole} was stopped. It did not end by itself within {ending.grace_seconds:g} s, "
                "so it was killed; what was not saved is lost."
            )
        return "stopped", f"The {about.whole} was stopped."
    if -ending.status == signal.SIGKILL:
        return _explain_kill(ending.memory, about)
    if not ending.was_ready:
        return "never-ready", f"{about.program} {_how(ending.status)} before it was ready; the log says why."
    if ending.status < 0:
        return "killed", f"{about.program} {_how(ending.status)}."
    if ending.status == 0:
        return about.exited, about.orderly
    return about.exited, f"{about.program} {_how(ending.status)}; the log says why."


def count_machine_kills() -> int | None:
    """Return how often the machine killed something for lack of memory, where the kernel tells it."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def _explain_kill(memory: Memory, about: Subject) -> tuple[str, str]:
    if memory.ran_out and memory.limit:
        return (
            "out-of-memory",
            f"The {about.whole} ran out of memory: it used {_of(memory.peak, memory.limit)}. {_AFTER}",
        )
    if memory.ran_out or (memory.ran_out is None and memory.machine_kills):
        return "out-of-memory", f"The machine ran out of memory and the system ended the {about.whole}. {_AFTER}"
    if memory.ran_out is None and memory.machine_kills is None:
        return "killed", f"{about.program} was killed from outside, probably because the machine ran out of memory."
    return "killed", f"{about.program} was killed from outside (SIGKILL); the system reports no lack of memory."


def _of(peak: int | None, limit: int) -> str:
    """Return "2.0 of 2 GiB"."""
    unit, size = ("GiB", 1024**3) if limit >= 1024**3 else ("MiB", 1024**2)
    used, may = (peak or limit) / size, limit / size
    return f"{used:.0f} of {may:.0f} {unit}" if used == may == int(may) else f"{used:.1f} of {may:g} {unit}"


def _how(status: int) -> str:
    # As shells and servers tell of a signal that they heeded.
    status = -(status - 128) if 128 < status <= 128 + signal.NSIG else status
    if status >= 0:
        return f"ended with exit code {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
