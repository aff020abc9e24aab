"""The session's own process: leaves behind what it inherited, then runs JupyterLab until it ends."""

import multiprocessing
import os
import random
import socket
import sys
import tempfile
import time
import traceback

from studiolo.runtime import account, enclosure, processes
from studiolo.runtime.descriptors import close_inherited, redirect_output
from studiolo.runtime.keeping import tell
from studiolo.runtime.launch import LaunchRequest, write_json
from studiolo.runtime.toolfiles import write_tools

_UMASK = 0o022


def run(request: LaunchRequest, connection: socket.socket, listener: socket.socket | None = None) -> int:
    """Run JupyterLab in this process, a fork that nothing else uses; returns its exit code.

    Tells `ready` through `connection` and by the launch's file `ready`, then closes the connection. `listener`: what
    was bound already, see `execute`.
    """
    processes.name_process("studiolo-lab")
    close_inherited(connection.fileno(), *([listener.fileno()] if listener else []))
    redirect_output(request.files.log)
    if not request.account:
        os.umask(_UMASK)
    processes.offer_to_oom_killer(processes.SERVER_OOM_SCORE)
    listener = listener or _become_account(request)
    _replace_environment(request)
    _forget_shared()

    def tell_ready(port: int) -> None:
        write_json(request.files.ready, {"address": request.address(port), "kernels": request.host_address})
        tell(connection, "ready")
        connection.close()

    try:
        # Imported here: a session that is exec'd pays for it after it has told that it started.
        from studiolo.runtime.preload import leave_out_unused

        leave_out_unused()
        from studiolo.runtime.jupyter import run_lab

        os.chdir(request.folder)
        if request.account:
            write_tools(request)
        run_lab(request, tell_ready, listener)
    except OSError as exc:
        print(f"The session cannot run: {exc}", file=sys.stderr)
        return 1
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        # The log is where a person looks for the cause; nobody above could do more with it.
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def execute(request: LaunchRequest, connection: socket.socket, *, request_descriptor: int) -> None:
    """Replace this process by a fresh Python that reads the request from `request_descriptor` and runs it."""
    os.dup2(request_descriptor, 0)
    # Before the next program begins: what it loads is told by variables, which are the person's.
    kept = [connection, *([listener] if (listener := _become_account(request)) else [])]
    for one in kept:
        os.set_inheritable(one.fileno(), True)
    arguments = [sys.executable, "-P", "-m", "studiolo.runtime.session", *(str(one.fileno()) for one in kept)]
    os.execve(sys.executable, arguments, _start_environment(request))  # noqa: S606


def main() -> int:
    """Run the session whose request comes on standard input; arguments: the events' descriptor, and the bound one's."""
    request = LaunchRequest.from_line(sys.stdin.buffer.readline())
    return run(request, *(socket.socket(fileno=int(number)) for number in sys.argv[1:]))


def _become_account(request: LaunchRequest) -> socket.socket | None:
    """Be the session's account from now on; returns the server's socket, which root has bound. None without one."""
    if not request.account:
        return None
    # Imported here: few sessions have one.
    from tornado.netutil import bind_unix_socket

    listener = bind_unix_socket(request.socket, mode=0o600)
    enclosure.enter(request.namespaces)
    account.take(request.account)
    return listener


def _start_environment(request: LaunchRequest) -> dict[str, str]:
    # The server's own interpreter must not be led astray by what is meant for the workspace's.
    return {name: value for name, value in request.variables.items() if not name.startswith("PYTHON")}


def _forget_shared() -> None:
    """Take secrets and places of our own for those that other forks have as well."""
    random.seed()
    multiprocessing.current_process().authkey = os.urandom(32)
    # Found by the variables, which were others before.
    tempfile.tempdir = None


def _replace_environment(request: LaunchRequest) -> None:
    os.environ.clear()
    os.environ.update(request.variables)
    time.tzset()


if __name__ == "__main__":
    sys.exit(main())
