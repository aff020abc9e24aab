"""`studiolo serve`: one part of the platform alone, for those who run the parts under their own supervision."""

import os
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from studiolo.server.commands.flags import DataDir, platform_settings
from studiolo.server.settings import Settings
from studiolo.server.supervisor.data_directory import prepare_data_directory
from studiolo.server.supervisor.parts import Part, control_plane, fork_server, front_door
from studiolo.server.supervisor.readiness import check_port, prepare_run_directory


class Role(StrEnum):
    """Values of --role."""

    CONTROL_PLANE = "control-plane"
    FRONT_DOOR = "front-door"
    FORK_SERVER = "fork-server"


_PARTS: dict[Role, Callable[[Settings], Part]] = {
    Role.CONTROL_PLANE: control_plane,
    Role.FRONT_DOOR: front_door,
    Role.FORK_SERVER: fork_server,
}


def serve(
    role: Annotated[Role, typer.Option("--role", help="Which part.")],
    data_dir: DataDir = None,
) -> None:
    """Run one part of the platform in the foreground, in this process.

    It speaks the sd_notify protocol, so a systemd unit of Type=notify knows when it serves.
    """
    settings = platform_settings(data_dir=data_dir)
    prepare_data_directory(settings)
    prepare_run_directory(settings)
    if role is Role.FRONT_DOOR:
        check_port(settings)
    part = _PARTS[role](settings)
    os.execve(part.argv[0], part.argv, dict(part.env))  # noqa: S606
