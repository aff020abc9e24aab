"""A notebook that is run, left and never opened again, on a real host with a real kernel."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import nbformat
import pytest

from studiolo.gateway.composition import Host
from studiolo.gateway.messages.frames import V1_PROTOCOL, encode_v1
from studiolo.gateway.messages.wire import build
from studiolo.gateway.offers.catalogue import Catalogue
from studiolo.gateway.settings import HostSettings
from studiolo.gateway.standalone import Rules, StandaloneAuthority
from studiolo.gateway.starting.launching import LocalLauncher
from studiolo.testing.waiting import eventually

CODE = "import time\nfor i in range(20):\n    print(i, flush=True)\n    time.sleep(0.1)"
ALL = "".join(f"{number}\n" for number in range(20))


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    own = Path(tempfile.mkdtemp(prefix="un-", dir="/tmp"))
    (own / "root" / "sub").mkdir(parents=True)
    cells = [nbformat.v4.new_code_cell(CODE, id="long"), nbformat.v4.new_code_cell("1", id="other")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), own / "root" / "sub" / "n.ipynb")
    yield own
    await asyncio.to_thread(shutil.rmtree, own)


async def open_host(folder: Path) -> tuple[Host, str]:
    settings = HostSettings(folder / "data", folder / "run", save_after=0.0, spares=0)
    launcher = LocalLauncher(settings.kernels, settings.run / "k")
    authority = StandaloneAuthority(Catalogue([Path(sys.prefix)], folder / "names"), None, Rules(folder / "root"))
    host = await Host.open(settings, launcher, authority)
    return host, f"http://127.0.0.1:{await host.listen_tcp('127.0.0.1', 0)}"


async def run_and_leave(url: str) -> None:
    """Run the long cell as JupyterLab does, and close the page at its first output."""
    async with aiohttp.ClientSession(url) as client:
        body = {"path": "sub/n.ipynb", "name": "n.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        async with client.post("/api/sessions", json=body) as reply:
            assert reply.status == 201, await reply.text()
            kernel = (await reply.json())["kernel"]["id"]
        channels = f"/api/kernels/{kernel}/channels?session_id={uuid4().hex}"
        async with client.ws_connect(channels, protocols=[V1_PROTOCOL]) as socket:
            content = {"code": CODE, "silent": False, "store_history": True, "allow_stdin": False}
            request = build("execute_request", content, session="s", metadata={"cellId": "long"})
            await socket.send_bytes(encode_v1("shell", request))
            async for message in socket:
                if b'"stream"' in message.data:
                    return


def texts(folder: Path) -> list[str]:
    notebook = nbformat.read(folder / "root" / "sub" / "n.ipynb", 4)
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]


async def test_a_notebook_whose_page_was_closed_holds_all_its_output(folder: Path):
    host, url = await open_host(folder)
    try:
        await run_and_leave(url)
        await eventually(lambda: texts(folder) == [ALL, ""])
        cell = nbformat.read(folder / "root" / "sub" / "n.ipynb", 4).cells[0]
        assert cell.execution_count == 1
        assert cell.metadata["studiolo"]["at"]
    finally:
        await host.close(end_kernels=True)


@pytest.mark.parametrize(("way", "is_lost"), [("tab closed", False), ("closed", False), ("connection lost", True)])
async def test_a_page_that_was_closed_is_told_from_one_that_vanished(folder: Path, way: str, is_lost: bool):
    host, url = await open_host(folder)
    try:
        async with aiohttp.ClientSession(url) as client:
            async with client.post("/api/kernels", json={"name": "python3"}) as reply:
                kernel = (await reply.json())["id"]
            socket = await client.ws_connect(f"/api/kernels/{kernel}/channels", protocols=[V1_PROTOCOL])
            (hosted,) = host.registry.list()
            await eventually(lambda: hosted.connections == 1)
            if way == "connection lost":
                transport = socket.get_extra_info("socket")
                transport.shutdown(2)
            else:
                await socket.close(code=1001 if way == "tab closed" else 1000)
            await eventually(lambda: hosted.connections == 0)
            assert hosted.kernel is not None
            assert hosted.kernel.has_lost_client is is_lost
            await socket.close()
    finally:
        await host.close(end_kernels=True)


async def test_also_if_the_host_is_started_anew_meanwhile(folder: Path):
    host, url = await open_host(folder)
    try:
        await run_and_leave(url)
        await host.close()
        host, url = await open_host(folder)
        await eventually(lambda: ALL[-12:] in texts(folder)[0])
    finally:
        await host.close(end_kernels=True)
