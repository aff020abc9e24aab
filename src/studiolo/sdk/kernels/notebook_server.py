"""A notebook server here whose kernels run elsewhere, for jupyter_server's settings:

    c.ServerApp.kernel_spec_manager_class = "studiolo.sdk.kernels.notebook_server.SpecsElsewhere"
    c.MultiKernelManager.kernel_manager_class = "studiolo.sdk.kernels.notebook_server.KernelElsewhere"

Unlike `--gateway-url` it leaves kernels that it did not start alone, and goes on where a connection was cut.
"""

import time
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_core.utils import run_sync
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from traitlets import Unicode

from studiolo.sdk.kernels.manager import WebsocketKernelManager
from studiolo.sdk.kernels.place import find_place

_REMEMBERED_SECONDS = 5.0


class KernelElsewhere(WebsocketKernelManager, ServerKernelManager):
    """WebsocketKernelManager as jupyter_server wants it."""


class SpecsElsewhere(KernelSpecManager):
    """The kernelspecs of a platform, gateway or Jupyter server, instead of those installed here."""

    url = Unicode(config=True, help="As of WebsocketKernelManager.")
    key = Unicode(config=True, help="As of WebsocketKernelManager.")
    workspace = Unicode(config=True, help="As of WebsocketKernelManager.")

    _known: tuple[float, dict[str, Any]] = (0.0, {})

    def find_kernel_specs(self) -> dict[str, str]:
        """Return names with an empty folder each: their files are elsewhere."""
        return dict.fromkeys(self._specs(), "")

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return one kernelspec. Raises NoSuchKernel."""
        found = self._specs().get(kernel_name)
        if found is None:
            raise NoSuchKernel(kernel_name)
        return KernelSpec(**found["spec"])

    def get_all_specs(self) -> dict[str, Any]:
        """Return all kernelspecs in the shape of jupyter_client: name → {resource_dir, spec}."""
        return {name: {"resource_dir": "", "spec": found["spec"]} for name, found in self._specs().items()}

    def _specs(self) -> dict[str, Any]:
        at, known = self._known
        if not known or time.monotonic() - at > _REMEMBERED_SECONDS:
            place = find_place(self.url, self.key, self.workspace)
            known = run_sync(place.ask)("GET", "kernelspecs")["kernelspecs"]
            self._known = time.monotonic(), known
        return known
