"""What one piece of work may take. The kernel keeps the limits: nothing that runs in the fork can overlook them."""

import resource
import signal
from dataclasses import dataclass

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds`: of the clock; `cpu_seconds`: of a processor; `memory` and `written` (the largest file): in bytes."""

    seconds: float
    cpu_seconds: int
    memory: int
    written: int

    def take_effect(self) -> None:
        """Hold this process to them from now on; to pass one is a death or a MemoryError."""
        for kind, amount in (
            (resource.RLIMIT_AS, self.memory),
            (resource.RLIMIT_CPU, self.cpu_seconds),
            (resource.RLIMIT_FSIZE, self.written),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (amount, amount))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)


PREVIEW = Limits(seconds=20, cpu_seconds=15, memory=1536 * _MIB, written=96 * _MIB)
# A first index of many notebooks takes its time; what was indexed before the end is kept.
INDEX = Limits(seconds=300, cpu_seconds=240, memory=2048 * _MIB, written=4096 * _MIB)
