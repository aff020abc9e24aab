"""Kernel clients for users of jupyter_client who know a kernel's id and need no manager."""

from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.client import KernelClient
from jupyter_core.utils import run_sync
from traitlets import Float, Integer, Unicode

from studiolo.sdk.kernels.ends import LocalEnds
from studiolo.sdk.kernels.place import find_place


class _OverWebsocket(KernelClient):
    """Opens the kernel's ends on this machine with its channels, and closes them with these."""

    url = Unicode(config=True, help="A platform, gateway or Jupyter server; empty: STUDIOLO_URL or the saved one.")
    key = Unicode(config=True, help="Key for it; empty: STUDIOLO_KEY or the saved one.")
    workspace = Unicode(config=True, help="The workspace whose kernels to use, on a platform; empty: the key's own.")
    kernel_id = Unicode(config=True, help="Id of the kernel.")
    after = Integer(None, allow_none=True, config=True, help="Get the output after this number too; None: from now.")
    patience_seconds = Float(300.0, config=True, help="How long to try to come back when the connection is cut.")

    _ends: LocalEnds | None = None

    @property
    def last(self) -> int | None:
        """Number of the newest output that came; None where the service numbers none."""
        return self._ends.last if self._ends is not None else None

    def start_channels(self, *args: Any, **kwargs: Any) -> None:
        """Connect to the kernel. Raises NotFound (`kernel-not-found`), Unavailable (`kernel-unreachable`)."""
        if self._ends is None:
            place = find_place(self.url, self.key, self.workspace)
            ends = LocalEnds(place.address(self.kernel_id), after=self.after, patience_seconds=self.patience_seconds)
            ends.start()
            self._ends = ends
            self.load_connection_info(ends.connection)
        super().start_channels(*args, **kwargs)

    def stop_channels(self) -> None:
        """Leave the kernel, which goes on."""
        super().stop_channels()
        if self._ends is not None:
            self._ends.stop()
            self._ends = None

    async def _async_is_alive(self) -> bool:
        """Tell whether the kernel is there; while the connection is being mended it is."""
        return self._ends is not None and self._ends.is_alive


class WebsocketKernelClient(_OverWebsocket, AsyncKernelClient):
    """An AsyncKernelClient of a kernel elsewhere, for example `WebsocketKernelClient(url=…, kernel_id=…)`."""

    is_alive: Any = _OverWebsocket._async_is_alive


class BlockingWebsocketKernelClient(_OverWebsocket, BlockingKernelClient):
    """A BlockingKernelClient of a kernel elsewhere."""

    is_alive: Any = run_sync(_OverWebsocket._async_is_alive)
