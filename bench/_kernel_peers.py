"""The servers of kernels that ours is compared with, as their documentation starts them, each on a port of its own."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from _http import Client
from _kernel_service import KernelService
from _peers import jupyter_programs, jupyverse_programs, version_of
from _processes import clean_environment, running, wait_until

from studiolo.testing.ports import free_port


@contextlib.contextmanager
def jupyter_server() -> Iterator[KernelService]:
    """Run a Jupyter server; its limit on the rate of output, which drops messages, is off."""
    port, token = free_port(), secrets.token_hex(16)
    options = (
        *(f"--port={port}", "--ServerApp.port_retries=0", "--no-browser", f"--IdentityProvider.token={token}"),
        "--ZMQChannelsWebsocketConnection.limit_rate=False",
        *(["--allow-root"] if os.getuid() == 0 else []),
    )
    with _served("jupyter_server", jupyter_programs() / "jupyter-server", options, port, token) as service:
        yield service


@contextlib.contextmanager
def kernel_gateway() -> Iterator[KernelService]:
    """Run Jupyter Kernel Gateway in its websocket mode."""
    port, token = free_port(), secrets.token_hex(16)
    names = {"port": port, "port_retries": 0, "auth_token": token}
    options = [f"--KernelGatewayApp.{name}={value}" for name, value in names.items()]
    options.append("--ZMQChannelsWebsocketConnection.limit_rate=False")
    with _served("jupyter_kernel_gateway", jupyter_programs() / "jupyter-kernelgateway", options, port, token) as one:
        yield one


@contextlib.contextmanager
def jupyverse() -> Iterator[KernelService]:
    """Run Jupyverse without sign-in: a key would be asked for once per login, not per request."""
    port = free_port()
    # Its modules have a second to start unless told otherwise.
    options = ("--port", str(port), "--set", "auth.mode=noauth", "--timeout", "60")
    with _served("jupyverse", jupyverse_programs() / "jupyverse", options, port, None) as service:
        yield service


@contextlib.contextmanager
def _served(name: str, program: Path, options: Sequence[str], port: int, token: str | None) -> Iterator[KernelService]:
    headers = {"Authorization": f"token {token}"} if token else {}
    client = Client(port, headers)
    label = f"{name} {version_of(name)}"
    with tempfile.TemporaryDirectory(prefix="studiolo-bench-", ignore_cleanup_errors=True) as folder:
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        environment = clean_environment(PATH=path, HOME=folder)
        with running((program, *options), log=Path(folder) / "log", env=environment, cwd=Path(folder)) as process:
            wait_until(lambda: client.answers("/api/kernelspecs"), f"the answer of {name}", seconds=60)
            starts_by = "sessions" if name == "jupyverse" else "kernels"
            yield KernelService(label, client, headers, process.pid, starts_by=starts_by)
