"""What a kernel host is told when it starts; the flags of `python -m studiolo.gateway.host`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studiolo.gateway.bridge.audience import PING_SECONDS
from studiolo.gateway.seeding import Seed

_HOUR = 3600.0
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Cors:
    """What pages of other sites may do here. `origins`: whose, `*` means all. `headers`, `methods`: what they may send.

    `exposed`: headers of replies that they may read. `max_age`: for how many seconds a browser remembers all this.
    `credentials`: whether their browsers may send cookies along; nobody is let in by these. Source: the Fetch standard.
    """

    origins: tuple[str, ...] = ()
    headers: tuple[str, ...] = ("authorization", "content-type", "x-xsrftoken")
    methods: tuple[str, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    credentials: bool = False
    exposed: tuple[str, ...] = ("Location",)
    max_age: int = 600

    def allows(self, origin: str | None) -> bool:
        """Tell whether pages of this origin may read what is answered."""
        return origin is not None and ("*" in self.origins or origin in self.origins)


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Settings of one host. Folders are absolute; `data / "kernels"` and `run` are its own. Times are in seconds.

    `keep_ended`: how long the journal of a kernel stays after its end. `cull_idle`: how long a headless kernel may be
    idle without clients before it is ended, None: for ever. `keep_unread`: how long output that nobody has seen
    keeps a kernel from being culled. `save_after`: how long after its last client left a notebook that it ran is
    written. `cull_connected`: whether an open client keeps nothing from being culled.
    `cors`: which other sites' pages may use keys here. `secret`: shared with front door and control plane, empty where
    there are none. `ping`: between two questions whether a websocket's client is there. `seed`: runs in new kernels.
    `lists`: whether clients are told which kernels and document sessions there are; else they must know an id.
    """

    data: Path
    run: Path
    keep_ended: float = _DAY
    keep_unread: float = _DAY
    save_after: float = 60.0
    cull_idle: float | None = None
    cull_connected: bool = False
    cull_sessions: bool = False
    cors: Cors = field(default_factory=Cors)
    ping: float = PING_SECONDS
    seed: Seed | None = None
    lists: bool = True
    spares: int = 1
    secret: str = field(default="", repr=False)

    @property
    def kernels(self) -> Path:
        """Folder with one folder per kernel."""
        return self.data / "kernels"


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """What a host of a platform needs besides: where it listens, and whom it asks."""

    host: HostSettings
    socket: Path
    control: Path


def read_arguments(arguments: Sequence[str]) -> PlatformSettings:
    """Read the flags of the platform's host, and its secret. Ends the process with words when they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m studiolo.gateway.host", description="The platform's kernel host.")
    folder: dict[str, Any] = {"type": Path, "required": True, "metavar": "PATH"}
    parser.add_argument("--socket", help="Where to listen.", **folder)
    parser.add_argument("--control", help="The control plane's socket.", **folder)
    parser.add_argument("--data", help="Data directory; kernels' journals go to kernels/ there.", **folder)
    parser.add_argument("--run", help="Private folder for sockets.", **folder)
    parser.add_argument("--secret-file", help="File with the secret that front door and host share.", **folder)
    seconds: dict[str, Any] = {"type": float, "metavar": "SECONDS"}
    parser.add_argument("--keep-ended", default=_DAY, help="Keep the journal this long after an end.", **seconds)
    parser.add_argument("--keep-unread", default=_DAY, help="Unseen output keeps a kernel this long.", **seconds)
    parser.add_argument("--cull-idle", default=None, help="End headless kernels that are idle this long.", **seconds)
    parser.add_argument("--cull-connected", action="store_true", help="Cull even with clients connected.")
    parser.add_argument("--cull-sessions", action="store_true", help="Cull the kernels of sessions too.")
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help="May be repeated.")
    parser.add_argument("--spares", type=int, default=1, metavar="N", help="Spare kernels per environment in use.")
    found = parser.parse_args(arguments)
    host = HostSettings(
        data=found.data,
        run=found.run,
        keep_ended=found.keep_ended,
        keep_unread=found.keep_unread,
        cull_idle=found.cull_idle,
        cull_connected=found.cull_connected,
        cull_sessions=found.cull_sessions,
        cors=Cors(tuple(found.allow_origin)),
        spares=found.spares,
        secret=_read_secret(parser, found.secret_file),
    )
    return PlatformSettings(host, found.socket, found.control)


def _read_secret(parser: argparse.ArgumentParser, file: Path) -> str:
    try:
        secret = file.read_text().strip()
    except OSError as exc:
        parser.error(f"--secret-file: {exc}")
    if not secret:
        parser.error(f"--secret-file: {file} is empty")
    return secret
