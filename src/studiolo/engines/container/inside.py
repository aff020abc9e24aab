"""Process 1 of a container: starts the workload, carries its connections to the platform, buries orphans.

`python -m studiolo.engines.container.inside FOLDER [PORT SOCKET]`: FOLDER as for `studiolo.runtime.workload`. With PORT
and SOCKET it listens on 127.0.0.1:PORT and carries each connection, bytes as they are, to the unix socket SOCKET: the
only way out of a container without a network. Ends with the workload's own status. The standard library only.

`… inside --wait GATE [PORT SOCKET]`: the workload waits, its server having rehearsed its start. When it is ready the
unix socket GATE is there; of the one connection that it takes the first line is FOLDER, and the shim's events go back.
"""

import os
import signal
import socket
import sys
from pathlib import Path

from studiolo.runtime import relay

WAIT = "--wait"
_ASKS_TO_STOP = (signal.SIGTERM, signal.SIGINT)
_ENDED_BY_SIGNAL = 128


def main() -> int:
    """Run the workload in a child of ours until it has ended."""
    # To process 1 a signal that nobody handles yet would be lost; the workload blocks its own.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKS_TO_STOP)
    arguments = sys.argv[1:]
    gate = arguments.pop(1) if arguments[0] == WAIT else ""
    folder, *way_out = arguments
    ours, theirs = socket.socketpair()
    workload = os.fork()
    if workload == 0:
        ours.close()
        return _wait(theirs) if gate else _run(folder)
    theirs.close()
    # Imported here: the workload starts meanwhile.
    import asyncio

    return asyncio.run(_serve(workload, way_out, ours, gate))


def _run(folder: str) -> int:
    from studiolo.runtime.workload import main as run_workload

    sys.argv[1:] = [folder]
    return run_workload()


def _wait(link: socket.socket) -> int:
    from studiolo.runtime.spares import wait_as_spare
    from studiolo.runtime.waiting import waiting_workload

    # Until it is claimed it has nothing to do at its end.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKS_TO_STOP)
    return wait_as_spare(link, waiting_workload())


async def _serve(workload: int, way_out: list[str], link: socket.socket, gate: str) -> int:
    import asyncio

    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def bury() -> None:
        while (found := _next_dead()) is not None:
            if found[0] == workload and not ended.done():
                ended.set_result(found[1])

    def pass_on(number: signal.Signals) -> None:
        if not ended.done():
            os.kill(workload, number)

    loop.add_signal_handler(signal.SIGCHLD, bury)
    for number in _ASKS_TO_STOP:
        loop.add_signal_handler(number, pass_on, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKS_TO_STOP)
    bury()
    if way_out:
        port, path = way_out
        try:
            await relay.serve(path, port=int(port))
        except OSError as exc:
            # The session works without it.
            sys.stderr.write(f"Programs here cannot reach the platform: {exc}\n")
    opening = asyncio.create_task(_open(link, gate)) if gate else None
    code = await ended
    if opening is not None:
        opening.cancel()
    return code


async def _open(link: socket.socket, gate: str) -> None:
    """Once the waiting workload is ready, hand the first connection at `gate` on to it."""
    import asyncio

    loop = asyncio.get_running_loop()
    link.setblocking(False)
    if not await loop.sock_recv(link, 1):
        # It has ended, and so do we.
        return
    with _listen(gate) as listener:
        connection, _ = await loop.sock_accept(listener)
    with connection:
        # Whoever gets it waits for the first line.
        connection.setblocking(True)
        socket.send_fds(link, [b"c"], [connection.fileno()])


def _listen(gate: str) -> socket.socket:
    """Listen at `gate`; whoever sees it can connect."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{gate}.new")
    listener.listen(1)
    listener.setblocking(False)
    Path(f"{gate}.new").rename(gate)
    return listener


def _next_dead() -> tuple[int, int] | None:
    """Return (process id, exit status) of a child that has ended, its own or an orphan; None when there is none."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return pid, code if code >= 0 else _ENDED_BY_SIGNAL - code


if __name__ == "__main__":
    sys.exit(main())
