"""An ipykernel in a process that was forked for it, whose output is numbered and kept until it is acknowledged."""

import atexit
import os
import signal
import socket
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ipykernel import ipkernel
from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

from studiolo.runtime import builtkernel, guard, interpreter, packagenotice, processes
from studiolo.runtime.account import gain_nothing
from studiolo.runtime.accountedkernel import become_account
from studiolo.runtime.descriptors import close_inherited
from studiolo.runtime.keeping import tell
from studiolo.runtime.kernelperson import take_person
from studiolo.runtime.kernelrequest import KernelRequest, is_plain
from studiolo.runtime.spool import Backlog, NumberingSocket, SpoolServer, listen

# Where the words for ipykernel itself begin in `argv`: behind `python -m ipykernel_launcher`.
_OWN_WORDS = 3
# `-f FILE`, as a kernelspec has them.
_FILE_WORDS = 2


# The files of all modules, by name: see `_SystemInBrief`.
_files: dict[str, SimpleNamespace] = {}


def list_files() -> None:
    """Note the files of what is imported by now; to be called before the fork."""
    named = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    _files.update({name: SimpleNamespace(__file__=file) for name, file in named.items() if file})


class _SystemInBrief:
    """The module `sys` with stand-ins for modules: ipykernel asks each for its file, for its debugger to know.

    In a fork, to look at all modules would copy the pages that they are on, 3 MiB.
    """

    modules = _files

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


class SpooledKernelApp(IPKernelApp):
    """An ipykernel whose publisher numbers and keeps messages; `keep_in` is to be called before it has sockets."""

    def keep_in(self, folder: Path, path: Path) -> None:
        """Keep messages in `folder` when memory does not do, and give them at the socket `path`. Raises OSError."""
        self.backlog = Backlog(folder)
        self._spool = SpoolServer(self.backlog, listen(path))

    def prepare(self, argv: list[str]) -> None:
        """Be as after `initialize`, but for nobody: who it is for is told by `take_person`."""
        if builtkernel.is_built(self):
            self.parse_command_line(argv)
            builtkernel.finish(self)
        else:
            self.config.HistoryManager.enabled = False
            self.initialize(argv)  # type: ignore[no-untyped-call]

    def begin(self) -> None:
        """Take requests from now on: on control at once, on shell when `start` runs the loop, which tells clients."""
        kernel: Any = self.kernel
        say, kernel._publish_status = kernel._publish_status, lambda *_: None
        kernel.start()
        kernel._publish_status = say
        kernel.start = partial(say, "starting", "shell")

    def parse_command_line(self, argv: list[str]) -> None:  # type: ignore[override]
        """Called by ipykernel first. A parser of all settings takes 3 MiB, which one file's name needs not."""
        if len(argv) != _FILE_WORDS or argv[0] != "-f":
            super().parse_command_line(argv)
            return
        self.argv, self.extra_args = list(argv), []
        self.cli_config = Config({"IPKernelApp": {"connection_file": argv[1]}})
        self.update_config(self.cli_config)

    def init_kernel(self) -> None:
        """Called by ipykernel when it makes its kernel."""
        ipkernel.sys = _SystemInBrief()  # type: ignore[assignment, attr-defined]
        try:
            super().init_kernel()  # type: ignore[no-untyped-call]
        finally:
            ipkernel.sys = sys  # type: ignore[attr-defined]

    def init_iopub(self, context: Any) -> None:
        """Called by ipykernel when it makes its publisher."""
        super().init_iopub(context)  # type: ignore[no-untyped-call]
        # All that is published goes out in this thread, and what ends with it is there.
        self.iopub_thread.socket = NumberingSocket(self.iopub_thread.socket, self.backlog)
        self.iopub_thread.io_loop.add_callback(self._spool.start)


def become(request: KernelRequest, connection: socket.socket) -> int:
    """Be the kernel of `request` in this process, a fork that nothing else uses; returns its exit code.

    Tells `ready` through `connection`, and by the launch's file, once the sockets are bound.
    """
    leave_inherited(connection)
    try:
        if request.account:
            return _run_as_account(request, connection)
        become_interpreter(request)
        is_nobodys = is_plain(request)
        if not is_nobodys:
            builtkernel.forget()
        app: Any = SpooledKernelApp.instance()
        app.keep_in(request.files.spool, request.run_files.spool)
        if is_nobodys:
            app.prepare(request.argv[_OWN_WORDS:])
        else:
            app.initialize(request.argv[_OWN_WORDS:])
        tell_ready(app, request, connection)
        if is_nobodys:
            take_person(app)
        return run(app)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except Exception:
        # The log is where a person looks for the cause; nobody above could do more with it.
        traceback.print_exc(file=sys.__stderr__)
        return 1


def _run_as_account(request: KernelRequest, connection: socket.socket) -> int:
    """Be a kernel that binds its sockets as root, and has become its account before it meets anything of a person's."""
    # Threads that bind the sockets are there before it is the account.
    gain_nothing()
    # Of a version of ipykernel that is not known here, each application looks for a profile.
    os.environ["IPYTHONDIR"] = str(Path(request.run_folder) / "ipython")
    app: Any = SpooledKernelApp.instance()
    app.keep_in(request.files.spool, request.run_files.spool)
    app.prepare(request.argv[_OWN_WORDS:])
    tell_ready(app, request, connection)
    become_account(request)
    become_interpreter(request)
    app.session.username = os.environ["USER"]
    take_person(app)
    return run(app)


def leave_inherited(connection: socket.socket) -> None:
    """Leave behind what this process inherited, except `connection`."""
    processes.name_process("studiolo-kernel")
    close_inherited(connection.fileno())
    signal.signal(signal.SIGINT, signal.default_int_handler)


def become_interpreter(request: KernelRequest) -> None:
    """Take the request's variables and environment for this process's own."""
    interpreter.replace_variables(request.variables)
    interpreter.forget_shared()
    interpreter.take_place(request.environment, request.argv)
    interpreter.forget_ours()


def tell_ready(app: Any, request: KernelRequest, connection: socket.socket) -> None:
    """Tell that the kernel's sockets are bound, through `connection`, and by the launch's file."""
    # Found when jupyter_client was imported.
    app.session.username = os.environ.get("USER", "username")
    request.files.ready.touch()
    tell(connection, "ready", pid=os.getpid())
    connection.close()


def run(app: Any) -> int:
    """Run the kernel until it ends."""
    packagenotice.watch(app)
    guard.watch(app.shell.user_ns)
    try:
        app.start()
    finally:
        # As an interpreter does at its end, which this process does not come to; it closes the kernel too.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        app.backlog.leave()
    return 0
