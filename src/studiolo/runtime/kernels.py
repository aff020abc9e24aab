"""Kernels of a session: which there are, how they are reached, and what their websockets need."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from tornado.web import HTTPError
from traitlets import Bunch, List, Unicode, default

from studiolo.runtime import processes

# Addresses of unix sockets have at most 103 bytes on macOS, 107 on Linux; zmq adds "-5" for the fifth.
_MAX_PREFIX = 101


def write_kernelspec(kernels_folder: Path, environment: Path) -> None:
    """Write the kernelspec `python3` of the workspace's environment into `kernels_folder`."""
    folder = kernels_folder / "python3"
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "argv": [str(environment / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        # As everywhere else: the name is saved in notebooks, and another one would change each that is opened.
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {"debugger": True},
    }
    (folder / "kernel.json").write_text(json.dumps(spec))


def choose_transport(run_folder: Path) -> str:
    """Return `ipc`, or `tcp` when the run folder's path is too long for unix sockets.

    Unix sockets in a private folder are out of other accounts' reach; TCP on loopback is open to all of them.
    """
    return "ipc" if len(str(run_folder / _socket_name("0" * 36))) <= _MAX_PREFIX else "tcp"


class WorkspaceKernelSpecs(KernelSpecManager):
    """Offers the kernels of `folders` and no others: neither the server's own nor the machine's."""

    folders = List(Unicode(), help="Folders of kernelspecs; the first that has a name wins.").tag(config=True)

    @default("kernel_dirs")
    def _kernel_dirs_default(self) -> list[str]:
        return list(self.folders)


class WorkspaceKernel(ServerKernelManager):
    """One kernel; its sockets have short names in the connection file's folder."""

    @default("ip")
    def _ip_default(self) -> str:
        if self.transport != "ipc":
            return str(super()._ip_default())
        file = Path(self.connection_file)
        return str(file.with_name(_socket_name(file.stem.removeprefix("kernel-"))))

    async def _async_post_start_kernel(self, **kw: Any) -> None:
        """Called when the kernel's process has been started or restarted."""
        await super()._async_post_start_kernel(**kw)
        if pid := getattr(self.provisioner, "pid", None):
            processes.offer_to_oom_killer(processes.WORK_OOM_SCORE, pid)


class WorkspaceKernels(AsyncMappingKernelManager):
    """All kernels; tells `on_change` when one starts, ends, turns busy or idle, is connected or not.

    `on_change` gets the id of a kernel that turned busy, else None.
    """

    on_change: Callable[[str | None], None] = staticmethod(lambda busy: None)

    async def start_kernel(self, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        """Called for each new kernel. Raises HTTPError with words when its folder or interpreter is gone."""
        try:
            return str(await super().start_kernel(*args, **kwargs))
        except OSError as exc:
            raise HTTPError(
                503,
                f"The kernel cannot be started: {exc.strerror}: {exc.filename or 'its folder'}. "
                "If the workspace's environment has vanished, restart the session: it is made anew then.",
            ) from exc

    def start_watching_activity(self, kernel_id: str) -> None:
        """Called by jupyter_server when a kernel has started or restarted."""
        super().start_watching_activity(kernel_id)  # type: ignore[no-untyped-call]

        def changed(change: Bunch) -> None:
            self.on_change(kernel_id if change.new == "busy" else None)

        self._kernels[kernel_id].observe(changed, "execution_state")
        self.on_change(None)

    def notify_connect(self, kernel_id: str) -> None:
        """Called when a websocket of a kernel opens."""
        super().notify_connect(kernel_id)  # type: ignore[no-untyped-call]
        self.on_change(None)

    def notify_disconnect(self, kernel_id: str) -> None:
        """Called when a websocket of a kernel closes."""
        super().notify_disconnect(kernel_id)  # type: ignore[no-untyped-call]
        self.on_change(None)

    def remove_kernel(self, kernel_id: str) -> Any:
        """Called when a kernel has ended."""
        removed = super().remove_kernel(kernel_id)
        self.on_change(None)
        return removed


class PromptChannels(ZMQChannelsWebsocketConnection):
    """A kernel's websocket without Nagle's algorithm, which jupyter_server 2.21 leaves on (44 ms each)."""

    def connect(self) -> Any:
        """Called when the websocket opens."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()


def _socket_name(kernel_id: str) -> str:
    return f"k-{kernel_id.replace('-', '')[:12]}"
