"""Kernel managers for users of jupyter_client: the kernel runs elsewhere, everything else is as usual."""

import os
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_client.ioloop.manager import AsyncIOLoopKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager, in_pending_state
from jupyter_core.utils import run_sync
from traitlets import Float, Integer, Unicode

from studiolo.contract.errors import NotFound
from studiolo.sdk.kernels.ends import LocalEnds
from studiolo.sdk.kernels.place import KernelPlace, find_place

# What of a process's variables goes along when a kernel starts. Source: jupyter_server's gateway client.
_PASSED_ON = "KERNEL_"
_WORKING_FOLDER = "KERNEL_WORKING_DIR"


class _Elsewhere(KernelManager):
    """What both managers share: a kernel that a service starts, restarts and ends, and its ends on this machine."""

    url = Unicode(config=True, help="A platform, gateway or Jupyter server; empty: STUDIOLO_URL or the saved one.")
    key = Unicode(config=True, help="Key for it; empty: STUDIOLO_KEY or the saved one.")
    workspace = Unicode(config=True, help="The workspace whose kernels to use, on a platform; empty: the key's own.")
    after = Integer(
        None, allow_none=True, config=True, help="Get the output after this number too, with `attach_kernel`."
    )
    patience_seconds = Float(300.0, config=True, help="How long to try to come back when the connection is cut.")

    _place: KernelPlace | None = None
    _ends: LocalEnds | None = None
    _spec: KernelSpec | None = None
    _remote_id = ""

    @property
    def place(self) -> KernelPlace:
        """Where the kernel runs. Raises NotSignedIn (`not-configured`) if nothing says so."""
        if self._place is None:
            self._place = find_place(self.url, self.key, self.workspace)
        return self._place

    @property
    def has_kernel(self) -> bool:
        """Tell whether a kernel was started or attached to, and not shut down since."""
        return self._ends is not None

    @property
    def last(self) -> int | None:
        """Number of the newest output that came; None where the service numbers none."""
        return self._ends.last if self._ends is not None else None

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernelspec as the service has it, once the kernel was started."""
        return self._spec or KernelSpec(display_name=self.kernel_name, language="", argv=[])

    def start_restarter(self) -> None:
        """Leave it to the service to watch the kernel."""

    @in_pending_state
    async def _async_start_kernel(self, **kw: Any) -> None:
        """Start a kernel, and end the one that the manager has.

        `kernel_id`, `path` and those of `env` that begin with KERNEL_ go to the service.
        So does `cwd`, or this process's own folder, as KERNEL_WORKING_DIR: a service that has the same files starts
        the kernel there, as jupyter_client does.
        Raises NotFound (`kernelspec-not-found`), LimitReached, Unavailable (`kernel-unreachable`).
        """
        await self._end()
        self._attempted_start = True
        self._owns_kernel = True
        self._launch_args = kw.copy()
        wanted = {"name": self.kernel_name, "env": _passed_on(kw.get("cwd"), kw.get("env") or {})}
        # An id is good for one kernel: the service keeps what that one has put out.
        asked = kw.get("kernel_id") or (None if self._remote_id else self.kernel_id)
        if asked is not None:
            wanted["kernel_id"] = asked
        if path := kw.get("path"):
            wanted["path"] = path
        model = await self.place.ask("POST", "kernels", wanted)
        await self._connect(model, after=0, kernel_id=asked)

    @in_pending_state
    async def _async_attach_kernel(self, kernel_id: str) -> None:
        """Use a kernel that runs already; `shutdown_kernel` then leaves it running.

        Raises NotFound (`kernel-not-found`), Unavailable (`kernel-unreachable`).
        """
        self._attempted_start = True
        self._owns_kernel = False
        model = await self.place.find(kernel_id)
        if model is None:
            raise NotFound("kernel-not-found", f"There is no kernel {kernel_id} that you can see.")
        await self._connect(model, after=self.after)
        self._settle_attached()

    def _settle_attached(self) -> None:
        # `in_pending_state` settles what is owned alone.
        if not self.owns_kernel:
            self.ready.set_result(None)

    async def _connect(self, model: dict[str, Any], after: int | None, kernel_id: str | None = None) -> None:
        # A service may choose its own id; a notebook server goes on with the one that it gave.
        self._remote_id, self.kernel_name = model["id"], model["name"]
        self.kernel_id = kernel_id or self._remote_id
        self.execution_state = model.get("execution_state", "starting")
        self.last_activity = datetime.now(UTC)
        specs = await self.place.ask("GET", "kernelspecs")
        if known := specs["kernelspecs"].get(self.kernel_name):
            self._spec = KernelSpec(**known["spec"])
        ends = LocalEnds(self.place.address(self._remote_id), after=after, patience_seconds=self.patience_seconds)
        await ends.open()
        self._ends = ends
        self.load_connection_info(ends.connection)
        # Made at its first use; as with a kernel here, whoever asks after the end finds it closed.
        if self.context.closed:
            self.context = type(self.context)()

    @in_pending_state
    async def _async_shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
        """End the kernel, unless it was attached to; one that is gone is fine."""
        await self._end(restart=restart)
        self._settle_attached()

    async def _end(self, *, restart: bool = False) -> None:
        if self._ends is None:
            return
        if self.owns_kernel:
            try:
                await self.place.ask("DELETE", f"kernels/{self._remote_id}")
            except NotFound:
                self.log.debug("Kernel %s was gone already.", self.kernel_id)
        await self._async_cleanup_resources(restart=restart)

    async def _async_restart_kernel(self, now: bool = False, newports: bool = False, **kw: Any) -> None:
        """Restart the kernel under the same id; clients stay connected."""
        if self._ends is None:
            raise RuntimeError("Cannot restart the kernel. No previous call to 'start_kernel'.")
        await self.place.ask("POST", f"kernels/{self._remote_id}/restart", {})

    async def _async_interrupt_kernel(self) -> None:
        """Interrupt what the kernel runs, in the way that its kernelspec names."""
        if self._ends is None:
            raise RuntimeError("Cannot interrupt kernel. No kernel is running!")
        await self.place.ask("POST", f"kernels/{self._remote_id}/interrupt", {})

    async def _async_signal_kernel(self, signum: int) -> None:
        """Interrupt for SIGINT; other signals cannot be sent to another machine."""
        if signum != signal.SIGINT:
            raise NotImplementedError(f"A kernel elsewhere cannot be sent signal {signum}.")
        await self._async_interrupt_kernel()

    async def _async_is_alive(self) -> bool:
        """Tell whether the kernel is there; while the connection is being mended it is."""
        return self._ends is not None and self._ends.is_alive

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        """Close the ends on this machine."""
        if self._ends is not None:
            ends, self._ends = self._ends, None
            await ends.close()
        if not restart:
            self.cleanup_connection_file()
        self._close_control_socket()
        self.session.parent = None
        if self._created_context and not restart:
            self.context.destroy(linger=100)


class WebsocketKernelManager(_Elsewhere, AsyncIOLoopKernelManager):
    """An AsyncKernelManager whose kernel runs on a Studiolo platform, a `studiolo gateway` or any Jupyter server.

    Its clients are jupyter_client's own. Between them and the kernel is one websocket, which comes back by itself and
    goes on where it was cut. Use it as `kernel_manager_class` of nbclient, papermill or a notebook server.
    """

    start_kernel: Any = _Elsewhere._async_start_kernel
    attach_kernel: Any = _Elsewhere._async_attach_kernel
    shutdown_kernel: Any = _Elsewhere._async_shutdown_kernel
    restart_kernel: Any = _Elsewhere._async_restart_kernel
    interrupt_kernel: Any = _Elsewhere._async_interrupt_kernel
    signal_kernel: Any = _Elsewhere._async_signal_kernel
    is_alive: Any = _Elsewhere._async_is_alive
    cleanup_resources: Any = _Elsewhere._async_cleanup_resources


class BlockingWebsocketKernelManager(_Elsewhere):
    """The same for programs that block; its clients are jupyter_client's blocking ones."""

    start_kernel: Any = run_sync(_Elsewhere._async_start_kernel)
    attach_kernel: Any = run_sync(_Elsewhere._async_attach_kernel)
    shutdown_kernel: Any = run_sync(_Elsewhere._async_shutdown_kernel)
    restart_kernel: Any = run_sync(_Elsewhere._async_restart_kernel)
    interrupt_kernel: Any = run_sync(_Elsewhere._async_interrupt_kernel)
    signal_kernel: Any = run_sync(_Elsewhere._async_signal_kernel)
    is_alive: Any = run_sync(_Elsewhere._async_is_alive)
    cleanup_resources: Any = run_sync(_Elsewhere._async_cleanup_resources)


def _passed_on(folder: str | os.PathLike[str] | None, variables: dict[str, str]) -> dict[str, str]:
    given = {name: value for name, value in {**os.environ, **variables}.items() if name.startswith(_PASSED_ON)}
    # A process may be in a folder that is gone.
    with suppress(FileNotFoundError):
        given.setdefault(_WORKING_FOLDER, str(Path(folder or "").absolute()))
    return given
