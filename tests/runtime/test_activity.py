"""What a session reports of itself to the platform."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.testing import bind_unused_port
from websockets.asyncio.client import unix_connect

from studiolo.contract.models import Activity
from studiolo.testing.fixtures import LocalBench
from studiolo.testing.local import SessionClient, execute


class Platform:
    """Takes reports as the control plane does; answers with `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.requests: list[HTTPServerRequest] = []
        self._news = asyncio.Event()
        sock, port = bind_unused_port()
        self.url = f"http://127.0.0.1:{port}"
        self.server = HTTPServer(self._answer)
        self.server.add_socket(sock)

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.requests]

    async def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first report from now on, the last one included, that is `wanted`."""
        async with asyncio.timeout(15):
            while not (self.requests and wanted(self.reports[-1])):
                await self._news.wait()
                self._news.clear()
        return self.reports[-1]

    def _answer(self, request: HTTPServerRequest) -> None:
        self.requests.append(request)
        self._news.set()
        assert request.connection is not None
        request.connection.write_headers(
            ResponseStartLine("HTTP/1.1", self.status, "x"), HTTPHeaders({"Content-Length": "0"})
        )
        request.connection.finish()


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    """A platform that listens on loopback."""
    platform = Platform()
    yield platform
    platform.server.stop()
    await platform.server.close_all_connections()


@pytest.fixture
async def client(bench: LocalBench, platform: Platform) -> SessionClient:
    """A session that reports to the platform."""
    return bench.client(await bench.start_ready(platform_url=platform.url, api_key="key-of-this-session"))


async def test_the_first_report_comes_at_once_with_the_sessions_key(
    bench: LocalBench, platform: Platform, client: SessionClient
) -> None:
    report = await platform.wait_for(lambda report: True)
    request = platform.requests[0]
    assert (request.method, request.path) == ("POST", f"/api/v1/sessions/{client.base_url[3:-1]}/report")
    assert request.headers["Authorization"] == "Bearer key-of-this-session"
    assert report == {
        "kernels": 0,
        "busy_kernels": 0,
        "terminals": 0,
        "busy_terminals": 0,
        "connections": 0,
        "last_active_at": None,
        "notebook": None,
        "notebook_at": None,
        "kernels_survive": True,
        "environment_note": "",
    }


async def test_reports_are_activities_of_the_contract(platform: Platform, client: SessionClient) -> None:
    await client.start_kernel()
    report = await platform.wait_for(lambda report: report["kernels"] == 1)
    assert set(report) == set(Activity.model_fields) - {"reported_at"} | {"notebook_at"}
    activity = Activity.model_validate(report | {"reported_at": "2026-01-01T00:00:00Z"})
    assert activity.last_active_at is not None
    assert activity.last_active_at.tzinfo is not None


async def test_a_busy_kernel_and_its_notebook_are_told(
    platform: Platform, client: SessionClient, tmp_path: Path
) -> None:
    kernel_id = await client.start_kernel("notebooks/churn.ipynb")
    async with client.channels(kernel_id) as connection:
        waiting = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)"
        cell = asyncio.create_task(execute(connection, waiting))
        report = await platform.wait_for(lambda report: report["busy_kernels"] == 1)
        assert report["connections"] == 1
        assert report["notebook"] == "notebooks/churn.ipynb"
        (tmp_path / "go").touch()
        await cell
    report = await platform.wait_for(lambda report: report["connections"] == 0)
    assert (report["kernels"], report["busy_kernels"]) == (1, 0)


async def test_an_open_but_idle_tab_counts_as_a_connection_only(platform: Platform, client: SessionClient) -> None:
    kernel_id = await client.start_kernel()
    before = await platform.wait_for(lambda report: report["kernels"] == 1 and report["last_active_at"])
    async with client.channels(kernel_id):
        report = await platform.wait_for(lambda report: report["connections"] == 1)
    assert report["busy_kernels"] == 0
    then = [datetime.fromisoformat(it["last_active_at"]) for it in (before, report)]
    assert (then[1] - then[0]).total_seconds() < 3


async def test_saving_a_notebook_is_told(platform: Platform, client: SessionClient) -> None:
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    async with client.http() as http:
        reply = await http.put("api/contents/plan.ipynb", json={"type": "notebook", "content": notebook})
        reply.raise_for_status()
    report = await platform.wait_for(lambda report: report["notebook"] is not None)
    assert report["notebook"] == "plan.ipynb"
    assert report["last_active_at"] is not None


async def test_a_terminal_is_busy_while_a_program_has_it(platform: Platform, client: SessionClient) -> None:
    async with client.http() as http:
        name = (await http.post("api/terminals")).json()["name"]
    url = f"ws://localhost{client.base_url}terminals/websocket/{name}"
    async with unix_connect(str(client.socket), url, additional_headers=client.headers()) as terminal:
        await terminal.send(json.dumps(["stdin", "sleep 60\r"]))
        await platform.wait_for(lambda report: report["terminals"] == 1 and report["busy_terminals"] == 1)
        await terminal.send(json.dumps(["stdin", "\x03"]))
        await platform.wait_for(lambda report: report["terminals"] == 1 and report["busy_terminals"] == 0)


async def test_a_platform_that_refuses_or_is_gone_disturbs_nothing(platform: Platform, client: SessionClient) -> None:
    platform.status = 503
    kernel_id = await client.start_kernel()
    await platform.wait_for(lambda report: report["kernels"] == 1)
    platform.server.stop()
    assert await client.run(kernel_id, "print('fine')") == "fine\n"
    async with client.http() as http:
        assert (await http.get("api/status")).status_code == 200
