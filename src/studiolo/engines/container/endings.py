"""Why a container ended, from what the daemon, the shim inside and our own notes say."""

import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from studiolo.engines.base import Exit, Limits

_KILLED = 128 + signal.SIGKILL
_LOST = "What was not saved is lost."


def explain(
    state: Mapping[str, Any] | None, told: Exit | None, *, was_stopped: bool, was_ready: bool, memory_limit: int | None
) -> Exit:
    """Return how a container ended.

    `state`: `State` of its inspection, None when it is gone. `told`: what the shim wrote. The session's own people
    could have written it too: it is taken for the words, never for whether the container has ended.
    """
    if told is not None:
        return told
    now = datetime.now(UTC)
    code = int((state or {}).get("ExitCode") or 0)
    if was_stopped:
        how = f"The session was stopped; its container had to be killed. {_LOST}"
        return Exit("stopped", how if code == _KILLED else "The session was stopped.", now)
    if state is None:
        return Exit("vanished", f"The session's container was removed from outside. {_LOST}", now)
    if code == _KILLED:
        return _explain_kill(state, memory_limit, now)
    if not was_ready:
        return Exit(
            "never-ready", f"The container ended with code {code} before the session was ready.", now, code=code
        )
    return Exit("server-exited", f"The container ended with code {code}.", now, code=code)


def _explain_kill(state: Mapping[str, Any], memory_limit: int | None, now: datetime) -> Exit:
    # Podman 4.3 never says it; then the shim's own word, which survives most kills for lack of memory, is all there is.
    if state.get("OOMKilled"):
        return Exit(
            "out-of-memory",
            f"The session ran out of memory. {_LOST}",
            now,
            signal=signal.SIGKILL,
            memory_limit=memory_limit,
        )
    return Exit("killed", f"The session's container was killed from outside. {_LOST}", now, signal=signal.SIGKILL)


def never_was() -> Exit:
    """Return the end of a launch that nobody knows."""
    return Exit("vanished", "Nothing is known of this launch on this machine.", datetime.now(UTC))


def stopped_in_time() -> Exit:
    """Return the end of a launch that was stopped before its container was made."""
    return Exit("stopped", "The session was stopped before it had begun.", datetime.now(UTC))


def no_gpu(limits: Limits) -> Exit:
    """Return the end of a launch for which no GPU was free."""
    kind = f" of the type {limits.gpu_type}" if limits.gpu_type else ""
    return Exit("no-capacity", f"Fewer than {limits.gpu} GPUs{kind} are free now.", datetime.now(UTC))
