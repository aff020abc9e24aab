"""Make this process take only what nobody else wants of the machine."""

import contextlib
import os

import psutil


def be_modest() -> None:
    """Lower the priority for processors and, where the system has such a thing (Linux), for the disk."""
    with contextlib.suppress(OSError):
        os.nice(19)
    if hasattr(psutil, "IOPRIO_CLASS_IDLE"):
        with contextlib.suppress(psutil.Error, OSError):
            psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
