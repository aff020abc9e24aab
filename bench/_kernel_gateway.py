"""Our own server of kernels, alone: `studiolo gateway`, which is the kernel host with keys of its own."""

import contextlib
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from _http import Client
from _kernel_service import KernelService
from _peers import jupyter_programs
from _processes import clean_environment, descendants, pss_bytes, running, wait_until

from studiolo.testing.ports import free_port

_STUDIOLO = Path(sys.executable).with_name("studiolo")


@dataclass(frozen=True, kw_only=True)
class Gateway(KernelService):
    """A running `studiolo gateway` with its data and sockets below `folder`, which keeps `spares` started kernels."""

    folder: Path
    spares: int

    def settle(self) -> None:
        """Wait until the pool is full."""
        if self.spares:
            wait_until(self._is_full, f"a pool of {self.spares} spares")

    def pss_of(self, kernel: str) -> int:
        """Return the proportional set size of a kernel and its shim, in bytes."""
        shim = int(json.loads((self.folder / "data" / "kernels" / kernel / "shim.json").read_text())["pid"])
        return pss_bytes([shim, *(one.pid for one in descendants(shim))])

    def _is_full(self) -> bool:
        # Kernel servers are nobody's children.
        servers = [one for one in psutil.Process(1).children() if self._is_server(one)]
        waiting = [child for one in servers for child in one.children() if child.name() == "studiolo-spare"]
        return len(waiting) == self.spares

    def _is_server(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return f" {self.folder}/run/" in " ".join(process.cmdline())
        return False


@contextlib.contextmanager
def gateway(*, spares: int = 1, kernel_name: str = "python3") -> Iterator[Gateway]:
    """Run `studiolo gateway` for the length of a block; its kernels run in the environment of the Jupyter peers."""
    # Sockets have short paths: not below a long TMPDIR.
    folder = Path(tempfile.mkdtemp(prefix="stb-", dir="/tmp"))
    port, key = free_port(), secrets.token_hex(16)
    argv = (
        *(_STUDIOLO, "gateway", "--port", str(port), "--data-dir", folder / "data", "--root", folder),
        *("--kernel-roots", jupyter_programs().parent, "--spares", str(spares)),
    )
    environment = clean_environment(HOME=str(folder), STUDIOLO_GATEWAY_KEY=key, XDG_RUNTIME_DIR=str(folder / "run"))
    (folder / "run").mkdir(mode=0o700)
    headers = {"Authorization": f"token {key}"}
    client = Client(port, headers)
    try:
        with running(argv, log=folder / "log", env=environment, cwd=folder) as process:
            wait_until(lambda: client.answers("/api/kernelspecs"), "the gateway's answer")
            body = {"name": kernel_name}
            yield Gateway("Studiolo", client, headers, process.pid, body=body, folder=folder, spares=spares)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
