"""A kernel that is built before the fork, all but its sockets, its threads and its person.

What Python does in a fork copies the pages of all that it looks at: to build a kernel there costs 5 MiB more.
"""

import atexit
import builtins
import os
import sys
import tempfile
import uuid
from typing import Any

from ipykernel import _version
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.session import Session

# The newest ipykernel that this was tried with; a later one may have parts that are not known here.
_NEWEST = (7, 4)
# The application whose kernel is built, and what ipykernel has in builtins while there is one.
_built: list[Any] = []
_names: dict[str, Any] = {}
# What ipykernel gives its kernel and is not there before the fork.
_LATE = (
    *("session", "control_stream", "debugpy_stream", "debug_shell_socket", "shell_stream", "control_thread"),
    *("shell_channel_thread", "iopub_thread", "iopub_socket", "stdin_socket"),
)


def build(app: Any) -> None:
    """Build the kernel of `app`, nobody's, in a process of one thread, which is as before afterwards.

    Only for the versions of ipykernel whose parts are known here: kernels of others are built after the fork.
    """
    is_known = (7, 0) <= _version.version_info[:2] <= _NEWEST
    if not (is_known and hasattr(IPythonKernel, "filter_internal_frames") and hasattr(app, "shell_channel_thread")):
        type(app).clear_instance()
        return
    before, main, variables, hook = set(vars(builtins)), sys.modules["__main__"], dict(os.environ), sys.excepthook
    with tempfile.TemporaryDirectory(prefix="studiolo-kernel-") as folder:
        os.environ["IPYTHONDIR"] = folder
        _build(app)
    atexit.unregister(app.shell.atexit_operations)
    app.shell.restore_sys_module_state()
    sys.modules["__main__"], sys.excepthook = main, hook
    _names.update({name: value for name, value in vars(builtins).items() if name not in before})
    for name in _names:
        delattr(builtins, name)
    os.environ.clear()
    os.environ.update(variables)
    _built.append(app)


def is_built(app: Any) -> bool:
    """Tell whether the kernel of `app` was built before the fork, and `finish` is left to do."""
    return app in _built


def forget() -> None:
    """Have the next kernel of this process built from its beginning, as a person's configuration wants it."""
    for app in _built:
        for one in (app, app.kernel, app.shell):
            type(one).clear_instance()
    _built.clear()


def finish(app: Any) -> None:
    """Do in the fork what `build` left out; the connection file is known."""
    kernel, shell = app.kernel, app.shell
    vars(builtins).update(_names)
    sys.modules["__main__"], sys.excepthook = shell.user_module, app.excepthook
    # Forks share no secrets, and clients tell kernels by these.
    app.session, kernel.ident = Session(parent=app), str(uuid.uuid4())
    for step in (app.init_connection_file, app.init_poller, app.init_sockets, app.init_heartbeat):
        step()
    app.write_connection_file()
    app.log_connection_info()
    app.init_io()
    app.init_signal()
    kind, app.kernel_class = app.kernel_class, _Built
    app.init_kernel()
    app.kernel_class = kind
    shell.save_sys_module_state()
    atexit.register(shell.atexit_operations)


def _build(app: Any) -> None:
    app.config.HistoryManager.enabled = False
    # As ipykernel begins; the connection file is told later.
    super(IPKernelApp, app).initialize(["-f", ""])
    app.init_pdb()
    parts = {"session": app.session, "log": app.log, "profile_dir": app.profile_dir, "user_ns": app.user_ns}
    app.kernel = app.kernel_class.instance(parent=app, **parts)
    for step in (app.init_shell, app.init_gui_pylab, app.init_extensions, app.init_code):
        step()


class _Built(IPythonKernel):
    """Stands in for the class of kernels where ipykernel makes one."""

    @classmethod
    def instance(cls, *_: Any, **parts: Any) -> Any:
        """Return the kernel that is built, with the parts that it had to wait for."""
        kernel: Any = IPythonKernel.instance()
        for name in _LATE:
            setattr(kernel, name, parts[name])
        kernel._stdout, kernel._stderr = sys.stdout, sys.stderr
        if hasattr(kernel, "debugger"):
            kernel.debugger = kernel.debugger_class(
                *(kernel.log, kernel.debugpy_stream, kernel._publish_debug_event, kernel.debug_shell_socket),
                *(kernel.session, kernel._kernel_modules, kernel.debug_just_my_code, kernel.filter_internal_frames),
            )
        for outlet in (kernel.shell.displayhook, kernel.shell.display_pub):
            outlet.session, outlet.pub_socket = kernel.session, kernel.iopub_socket
        kernel.shell.displayhook.topic = kernel._topic("execute_result")
        return kernel
