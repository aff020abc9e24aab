"""Spares of sessions: a server that has rehearsed its start waits in each."""

import socket
from pathlib import Path

from studiolo.runtime import limits, session, shim
from studiolo.runtime.descriptors import redirect_output
from studiolo.runtime.launch import LaunchFiles, LaunchRequest
from studiolo.runtime.spares import Claim, Kind


def session_spare() -> Kind:
    """Return what spares of sessions are made of."""
    return Kind(prepare=_prepare, serve=_serve, keep=_keep, can_serve=lambda request: not request.only_kernels)


def _prepare() -> None:
    # Imported where it is preloaded: whoever lists the spares needs no Jupyter.
    from studiolo.runtime.rehearsal import rehearse

    rehearse()


def _serve(line: bytes, connection: socket.socket) -> int:
    request = LaunchRequest.from_line(line)
    redirect_output(LaunchFiles(Path(request.launch_folder)).log)
    limits.enter(request)
    return session.run(request, connection)


def _keep(connection: socket.socket, claim: Claim) -> int:
    return shim.serve(connection, forks=True, claim=claim)
