"""Making a container that waits a launch's: its name, its mounts, and the word of whose it is."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiodocker import Docker

from studiolo.engines.container.configuration import Mount
from studiolo.engines.container.daemon import Daemon
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.preparing import make_places
from studiolo.engines.container.waiting import Place, list_missing
from studiolo.runtime.kernelcommands import program

_MOUNT_SECONDS = 10.0
_EVENTS_SECONDS = 60.0
_EVENTS_BYTES = 16 * 1024


class NotTakenError(Exception):
    """A waiting container could not be made a launch's."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A container that waits. `mounts`: what it has already."""

    name: str
    place: Place
    mounts: Sequence[Mount]


async def hand_over(
    daemon: Daemon, one: Waiting, launch: Launch, name: str, config: Mapping[str, Any]
) -> socket.socket:
    """Have the container be the launch's, named `name`; returns the connection by which its shim tells events.

    `config`: what would be created for the launch. Raises OSError, NotTakenError, RefusedError, Unavailable: the
    container is nobody's, and ends by itself.
    """
    gate = socket.socket(socket.AF_UNIX)
    try:
        gate.setblocking(False)
        gate.connect(str(one.place.gate))
        one.place.gate.unlink(missing_ok=True)
        mounts = list_missing(config, launch.cover, one.mounts)
        make_places(one.place.cover, mounts)

        async def rename(docker: Docker) -> None:
            await docker.containers.container(one.name).rename(name)

        await asyncio.gather(_mount(_find_process(gate), mounts), daemon.ask(rename))
        # From here on the launch lives in it, whatever becomes of us.
        launch.note_begun()
        await asyncio.get_running_loop().sock_sendall(gate, f"{launch.files.folder}\n".encode())
    except BaseException:
        gate.close()
        raise
    return gate


async def follow(daemon: Daemon, gate: socket.socket, name: str) -> None:
    """Wake whoever waits for the launch until its server is ready. What comes by `gate` is not believed further."""
    received = 0
    with gate, contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_EVENTS_SECONDS):
            while received < _EVENTS_BYTES and (told := await asyncio.get_running_loop().sock_recv(gate, 1024)):
                received += len(told)
                daemon.tell(name)
                if b'"ready"' in told:
                    return


def can_mount() -> bool:
    """Tell whether folders can be mounted into containers that run: by root only."""
    return sys.platform == "linux" and os.geteuid() == 0


def _find_process(gate: socket.socket) -> int:
    """Return the id of the process that listens at the other end, by the kernel's own word. Raises NotTakenError."""
    pid, _, _ = struct.unpack("3i", gate.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if pid <= 0:
        raise NotTakenError("its processes are not to be seen from here")
    return int(pid)


async def _mount(pid: int, mounts: Sequence[Mount]) -> None:
    """Mount all into the container of a process. Raises OSError, NotTakenError."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-I", "-S", *program("mounting", str(pid))]
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stderr=pipe)
    told = json.dumps([[str(one.source), str(one.target), one.writable] for one in mounts]).encode()
    try:
        async with asyncio.timeout(_MOUNT_SECONDS):
            _, error = await child.communicate(told)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        raise
    if child.returncode:
        raise NotTakenError(error.decode(errors="replace").strip() or f"mounting ended with {child.returncode}")
