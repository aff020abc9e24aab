"""A notebook server, unmodified, whose kernels run in a gateway elsewhere."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from studiolo.kernels import WebsocketKernelManager
from studiolo.testing.ports import free_port

SECONDS = 60
TOKEN = "abc"
SETTINGS = """
c.ServerApp.kernel_spec_manager_class = "studiolo.sdk.kernels.notebook_server.SpecsElsewhere"
c.MultiKernelManager.kernel_manager_class = "studiolo.sdk.kernels.notebook_server.KernelElsewhere"
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.ServerApp.port_retries = 0
"""


@pytest.fixture(scope="module")
def server(kernel_service: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Jupyter server that takes its kernels from the gateway."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "jupyter_server_config.py").write_text(f"{SETTINGS}\nc.IdentityProvider.token = {TOKEN!r}\n")
    port = free_port()
    environ = os.environ | {
        "STUDIOLO_URL": f"http://127.0.0.1:{kernel_service}",
        "JUPYTER_CONFIG_DIR": str(folder),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
    }
    argv = [Path(sys.executable).with_name("jupyter-server"), f"--port={port}", f"--ServerApp.root_dir={folder}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, env=environ, cwd=folder, stdout=log, stderr=log)
    try:
        end = time.monotonic() + SECONDS
        while not _answers(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api", timeout=5).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.req("S1-21", "S1-34")
async def test_a_notebook_server_runs_its_kernels_elsewhere(server: str, kernel_service: int) -> None:
    written: list[str] = []

    def note(message: dict[str, Any]) -> None:
        written.append(message["content"].get("text", ""))

    manager = WebsocketKernelManager(url=server, key=TOKEN)
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=SECONDS)
        async with httpx.AsyncClient() as http:
            running = (await http.get(f"http://127.0.0.1:{kernel_service}/api/kernels")).json()
            await client.execute_interactive("print('elsewhere')", output_hook=note, timeout=SECONDS)
            assert "".join(written) == "elsewhere\n"
            assert running
            await manager.restart_kernel()
            await client.wait_for_ready(timeout=SECONDS)
            client.stop_channels()
            await manager.shutdown_kernel()
            left = (await http.get(f"http://127.0.0.1:{kernel_service}/api/kernels")).json()
            assert len(left) == len(running) - 1
    finally:
        await manager.shutdown_kernel()


def test_it_offers_the_kernels_of_the_other_place(server: str, kernel_service: int) -> None:
    here = httpx.get(f"{server}/api/kernelspecs", headers={"Authorization": f"token {TOKEN}"}, timeout=30).json()
    there = httpx.get(f"http://127.0.0.1:{kernel_service}/api/kernelspecs", timeout=30).json()
    assert here["kernelspecs"].keys() == there["kernelspecs"].keys()
