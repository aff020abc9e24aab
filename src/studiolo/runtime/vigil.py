"""The long wait of a shim whose kernel runs, as a program that has imported next to nothing.

A shim that was forked holds pages of all that its kernel server has imported, for as long as its kernel lives. So it
becomes this program, in the same process: its child, its lock and its connection stay its own. When anything happens
it is a shim again (`kernelshim.go_on`). Started as `python -I -S -c … FOLDER STATE READABLE EXCEPTIONAL`, see
`kernelcommands.program`: a descriptor that holds the shim's state, descriptors to wait on; signals are blocked.
"""

# The public module `signal` brings enum, which is a quarter of what this program weighs.
import _signal  # type: ignore[import-not-found]
import os
import select
import sys

LOG_LIMIT_BYTES = 4 * 1024 * 1024
_LOG_CHECK_SECONDS = 10.0
# What a shim heeds.
SIGNALS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGCHLD, _signal.SIGHUP)


def main() -> int:
    """Wait until something happens, then see the launch through; returns the exit code."""
    state, readable, exceptional = int(sys.argv[1]), _numbers(sys.argv[2]), _numbers(sys.argv[3])
    with open("/proc/self/comm", "wb") as name:  # noqa: PTH123
        name.write(b"studiolo-shim")
    seen: list[int] = []
    wake, writer = os.pipe()
    os.set_blocking(writer, False)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        _signal.signal(number, lambda number, frame: seen.append(number))
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, SIGNALS)
    # Standard output is the launch's log.
    while not seen and os.fstat(1).st_size <= LOG_LIMIT_BYTES:
        if any(select.select([wake, *readable], [], exceptional, _LOG_CHECK_SECONDS)):
            break
    _signal.pthread_sigmask(_signal.SIG_BLOCK, SIGNALS)
    from studiolo.runtime import kernelshim

    return kernelshim.go_on(state, stop_asked=_signal.SIGTERM in seen or _signal.SIGINT in seen)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]
