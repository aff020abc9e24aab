"""What a notebook's cells put out while nobody was there: told cell by cell, and put into the notebook on demand."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from gateway.test_unattended import ALL, folder, run_and_leave
from studiolo.gateway.composition import Host
from studiolo.gateway.messages.frames import V1_PROTOCOL
from studiolo.gateway.offers.catalogue import Catalogue
from studiolo.gateway.settings import HostSettings
from studiolo.gateway.standalone import Rules, StandaloneAuthority
from studiolo.gateway.starting.launching import LocalLauncher

__all__ = ["folder"]


async def open_patient_host(folder: Path) -> tuple[Host, str]:
    """A host that leaves notebooks alone for an hour."""
    settings = HostSettings(folder / "data", folder / "run", save_after=3600.0, spares=0)
    launcher = LocalLauncher(settings.kernels, settings.run / "k")
    authority = StandaloneAuthority(Catalogue([Path(sys.prefix)], folder / "names"), None, Rules(folder / "root"))
    host = await Host.open(settings, launcher, authority)
    return host, f"http://127.0.0.1:{await host.listen_tcp('127.0.0.1', 0)}"


async def test_output_of_a_left_notebook_is_told_and_inserted_on_demand(folder: Path) -> None:
    host, url = await open_patient_host(folder)
    file = folder / "root" / "sub" / "n.ipynb"
    try:
        await run_and_leave(url)
        async with aiohttp.ClientSession(url) as client:
            (one,) = await read(client, "/api/kernels")
            kernel, state = one["id"], "running"
            last = 0
            async with asyncio.timeout(30):
                while state == "running":
                    seen = await read(client, f"/api/kernels/{kernel}/cells")
                    assert last <= seen["last"]
                    last, run = seen["last"], seen["cells"]["long"]
                    state = run["state"]
                    await read(client, f"/api/kernels/{kernel}/journal?after={last}&wait=1")
            assert [output["text"] for output in run["outputs"]] == [ALL]
            assert run["changed_at"] > run["at"]
            for narrowed in (f"after={last}", f"since={int(run['changed_at']) + 1}"):
                assert (await read(client, f"/api/kernels/{kernel}/cells?{narrowed}"))["cells"] == {}
            assert saved(file) == ""

            assert await insert(client, kernel) == (200, "written")
            assert saved(file) == ALL
            assert await insert(client, kernel) == (200, "unchanged")

            channels = f"/api/kernels/{kernel}/channels?session_id={uuid4().hex}"
            async with client.ws_connect(channels, protocols=[V1_PROTOCOL]):
                assert await insert(client, kernel) == (409, "notebook-open")
            file.write_text(json.dumps({"cells": [], "nbformat": 4, "nbformat_minor": 4, "metadata": {}}))
            assert (await settle(client, kernel))[1] == "notebook-unusable"
    finally:
        await host.close(end_kernels=True)


@pytest.mark.parametrize("kernel", ["nothing", "5d2f0c5e-8a3e-4c1b-9f52-0d4b7a6c1e90"])
async def test_a_kernel_that_is_not_there_has_no_cells(folder: Path, kernel: str) -> None:
    host, url = await open_patient_host(folder)
    try:
        async with aiohttp.ClientSession(url) as client, client.get(f"/api/kernels/{kernel}/cells") as reply:
            assert (reply.status, (await reply.json())["code"]) == (404, "kernel-not-found")
    finally:
        await host.close(end_kernels=True)


async def read(client: aiohttp.ClientSession, path: str) -> Any:
    async with client.get(path) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.json()


async def insert(client: aiohttp.ClientSession, kernel: str) -> tuple[int, str]:
    async with client.post(f"/api/kernels/{kernel}/notebook") as reply:
        told = await reply.json()
        return reply.status, told.get("saved") or told["code"]


async def settle(client: aiohttp.ClientSession, kernel: str) -> tuple[int, str]:
    """Insert once the host knows that the client has gone."""
    async with asyncio.timeout(10):
        while (told := await insert(client, kernel))[1] == "notebook-open":
            await asyncio.sleep(0.02)
    return told


def saved(file: Path) -> str:
    """The text that the notebook's first cell shows."""
    outputs = json.loads(file.read_text())["cells"][0]["outputs"]
    return "".join("".join(output["text"]) for output in outputs)
