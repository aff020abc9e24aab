"""The shim of a session: see `studiolo.runtime.keeping` for what shims do.

A server that ends unasked is started anew, a few times; the kernels that others started in the session go on. It tells
`restarted` with how it ended. The session ends when its person shuts the server down.

Forked by the fork server, or started as `python -m studiolo.runtime.shim` with a socket as standard input.
"""

import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from studiolo.runtime import account, exits, keeping, limits
from studiolo.runtime.enclosure import HeldEnclosure
from studiolo.runtime.launch import OWN, LaunchRequest, read_json, write_json
from studiolo.runtime.registrations import end_kernels, write_grounds
from studiolo.runtime.toolfiles import write_tools

# A server that ends so often has something wrong that another start does not mend.
_RESTARTS = 3
_RESTARTS_SECONDS = 60.0
_TOLD_RESTARTS = 20

Claim = Callable[[LaunchRequest, socket.socket], int | None]


def serve(connection: socket.socket, *, forks: bool, claim: Claim | None = None) -> int:
    """Read one launch request from `connection` and see it through; returns this process's exit code.

    `forks`: the session is forked from this process, which has JupyterLab imported; otherwise it is exec'd. `claim`:
    hands the request to a child that waits for it and returns its process id, or None if that child has died.
    """

    def keep(request: LaunchRequest) -> Shim:
        return Shim(request, connection, forks=forks, claim=claim)

    return keeping.serve(connection, LaunchRequest.from_line, keep, detach=claim is None)


class Shim(keeping.Keeper):
    """Runs one launch of a session."""

    child = "session"
    about = exits.SESSION
    # By kernel hosts of this machine.
    takes_kernels = True

    def __init__(
        self, request: LaunchRequest, connection: socket.socket, *, forks: bool, claim: Claim | None = None
    ) -> None:
        super().__init__(request, connection)
        self.request = request
        self.registered = request.kernels_folder
        self.forks = forks
        self.claim = claim
        self._restarted_at: list[float] = []
        self._enclosure: HeldEnclosure | None = None

    def prepare(self) -> None:
        """See Keeper.prepare."""
        keeping.make_private(Path(self.request.run_folder))
        if self.request.account:
            account.keep_to_oneself()
            account.make_own(self.files.folder / OWN, self.request.account)
            os.fchown(1, self.request.account, -1)
        else:
            write_tools(self.request)
        self.group = limits.make_group(self.request)
        if self.request.enclosure:
            self._enclosure = HeldEnclosure(self.request.enclosure, self.request)
            self.request = replace(self.request, namespaces=self._enclosure.make())
        if self.takes_kernels:
            write_grounds(self.request)

    def fork(self, shim_pid: int) -> int:
        """See Keeper.fork."""
        if self._enclosure is not None:
            self._enclosure.keep_relay()
        feed = None if self.forks else os.pipe()
        claim, self.claim = self.claim, None
        pid = (claim and claim(self.request, self.connection)) or os.fork()
        if pid == 0:
            self._become_session(shim_pid, feed)
        if feed is not None:
            os.close(feed[0])
            with contextlib.suppress(BrokenPipeError), os.fdopen(feed[1], "wb") as pipe:
                pipe.write(self.request.to_line())
        return pid

    def look(self, *, seconds: float) -> float:
        """See Keeper.look: the way to the platform is kept open."""
        if self._enclosure is not None:
            self._enclosure.keep_relay()
        return seconds

    def goes_on(self, ending: exits.Ending) -> bool:
        """See Keeper.goes_on."""
        if ending.stop_was_asked or not ending.was_ready or ending.status == 0:
            return False
        now = time.monotonic()
        self._restarted_at = [at for at in self._restarted_at if now - at < _RESTARTS_SECONDS]
        if len(self._restarted_at) >= _RESTARTS:
            return False
        self._restarted_at.append(now)
        reason, message = exits.explain(ending, self.about)
        restart = {"at": datetime.now(UTC).isoformat(), "reason": reason, "message": message}
        known = (read_json(self.files.restarts) or {}).get("restarts", [])
        # On a full disk the session goes on without it.
        with contextlib.suppress(OSError):
            write_json(self.files.restarts, {"restarts": [*known, restart][-_TOLD_RESTARTS:]})
        keeping.tell(self.connection, "restarted", **restart)
        return True

    def end_others(self) -> None:
        """See Keeper.end_others."""
        end_kernels(self.request.kernels_folder)

    def clear_up(self) -> None:
        """See Keeper.clear_up."""
        shutil.rmtree(self.request.run_folder, ignore_errors=True)
        Path(self.request.socket).unlink(missing_ok=True)

    def _become_session(self, shim_pid: int, feed: tuple[int, int] | None) -> None:
        """In the forked child: run the server, or exec one that reads its request from `feed`."""
        # Imported here, since a shim that execs its session has no use for Jupyter.
        from studiolo.runtime import session

        status = 1
        try:
            keeping.become_child(shim_pid)
            limits.enter(self.request)
            if feed is None:
                status = session.run(self.request, self.connection)
            else:
                session.execute(self.request, self.connection, request_descriptor=feed[0])
        except OSError as exc:
            print(f"The session's process cannot be made ready: {exc}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)


def main() -> int:
    """Detach, then serve the request that comes through the socket on standard input."""
    if os.fork():
        return 0
    return serve(socket.socket(fileno=os.dup(0)), forks=False)


if __name__ == "__main__":
    sys.exit(main())
