"""A workload that waits: its server has rehearsed its start, and which launch it is to be comes later.

For engines that keep containers ready (see `studiolo.runtime.workload` for what runs in them).
"""

import signal
import socket
from dataclasses import replace
from pathlib import Path

from studiolo.runtime import keeping, workload
from studiolo.runtime.sessionspares import session_spare
from studiolo.runtime.spares import Claim, Kind


def waiting_workload() -> Kind:
    """Return what a spare is made of that one line, the folder of a launch's request, turns into that launch."""
    return replace(session_spare(), prepare=_prepare, keep=_keep)


def _prepare() -> None:
    # Imported in the child alone: a shim has no use for Jupyter.
    from studiolo.runtime.preload import preload

    preload()
    session_spare().prepare()


def _keep(connection: socket.socket, claim: Claim) -> int:
    # As for a workload that is started: a stop that comes before the shim hears signals must not be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, keeping.SIGNALS)
    with connection.makefile("rb") as lines:
        folder = lines.readline().decode().rstrip("\n")
    if not folder:
        return 0
    return workload.serve(Path(folder), connection, claim=claim)
