"""A stock JupyterLab with our plug-in whose kernels are on a kernel host, behind a front door in miniature."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from lab.front import Front
from studiolo.runtime.jupyter import LAB_EXTENSIONS
from studiolo.testing.ports import free_port
from studiolo.testing.waiting import wait_for

_TOKEN = "looking"
_PATIENCE_MS = 60_000
# What the status bar says of the kernel.
_CONNECTED = re.compile(r"\| (Idle|Busy)")


class Lab:
    """JupyterLab and a kernel host on one folder."""

    def __init__(self, folder: Path, front: Front, chromium: Browser) -> None:
        self.folder = folder
        self.front = front
        self.address = f"http://127.0.0.1:{front.port}"
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []

    def write(self, name: str, *sources: str) -> Path:
        """Write a notebook of code cells `c0`, `c1`, …."""
        cells = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": text, "execution_count": None, "outputs": []}
            for n, text in enumerate(sources)
        ]
        metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        file = self.folder / name
        file.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
        return file

    def open(self, name: str) -> Page:
        """Open a notebook in a browser of its own, and wait until its kernel is connected."""
        context = self._chromium.new_context(viewport={"width": 1280, "height": 900})
        self._contexts.append(context)
        page = context.new_page()
        page.goto(f"{self.address}/lab/tree/{name}?token={_TOKEN}&reset")
        expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=_PATIENCE_MS)
        expect(page.get_by_text(_CONNECTED)).to_be_visible(timeout=_PATIENCE_MS)
        return page

    def ask(self, method: str, path: str) -> httpx.Response:
        """Ask the kernel host."""
        return httpx.request(method, f"{self.address}/api/{path}", timeout=30)

    def let_go(self, name: str = "go") -> None:
        """Let cells go on that wait for it."""
        (self.folder / name).touch()

    def kernels(self) -> list[dict[str, Any]]:
        """The kernels that the host has."""
        found: list[dict[str, Any]] = self.ask("GET", "kernels").json()
        return found

    def close(self) -> None:
        """Close all browsers and end all kernels."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()
        for file in self.folder.glob("go*"):
            file.unlink()
        for kernel in self.kernels():
            self.ask("DELETE", f"kernels/{kernel['id']}")


def cell(page: Page, number: int) -> Locator:
    """A code cell, by its place."""
    return page.locator(".jp-CodeCell").nth(number)


def shown(page: Page, number: int) -> Locator:
    """What a cell shows beneath its source."""
    return cell(page, number).locator(".jp-Cell-outputArea")


def output(page: Page, number: int) -> str:
    """Its text."""
    return shown(page, number).inner_text()


def run(page: Page, number: int) -> None:
    """Run one cell."""
    cell(page, number).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")


def saved(file: Path) -> list[list[dict[str, Any]]]:
    """The outputs of each cell in the file."""
    return [cell["outputs"] for cell in wait_for(lambda: _read(file), f"{file.name} is whole")["cells"]]


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except ValueError:
        # Just being written.
        return None


@contextmanager
def _run(log: Path, address: str, *words: object, **variables: str) -> Iterator[None]:
    """Run a server until the end of the block; its block begins when `address` answers."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(word) for word in words], stdout=file, stderr=file, env=os.environ | variables, cwd=log.parent
        )
        try:
            wait_for(lambda: _answers(address) or process.poll() is not None, f"{address} answers", seconds=120)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(20)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Lab]:
    """One JupyterLab and one kernel host for all tests."""
    folder = tmp_path_factory.mktemp("lab")
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    lab, host = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    apart = {
        name: str(folder / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    jupyterlab = (
        f"--port={lab.rpartition(':')[2]}",
        "--no-browser",
        "--allow-root",
        f"--IdentityProvider.token={_TOKEN}",
        f"--ServerApp.root_dir={notebooks}",
        "--ServerApp.contents_manager_class=studiolo.runtime.contents.WorkspaceContents",
        f"--LabApp.extra_labextensions_path={LAB_EXTENSIONS}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LanguageServerManager.autodetect=False",
    )
    gateway = ("--open", "--port", host.rpartition(":")[2], "--root", notebooks, "--kernel-roots", sys.prefix)
    data = ("--data-dir", folder / "data")
    with ExitStack() as stack:
        studiolo = [
            sys.executable,
            "-c",
            "import typer; from studiolo.gateway.commands import gateway; typer.run(gateway)",
        ]
        stack.enter_context(_run(folder / "host.log", f"{host}/api", *studiolo, *gateway, *data, **apart))
        server = [sys.executable, "-m", "jupyterlab", *jupyterlab]
        stack.enter_context(_run(folder / "lab.log", f"{lab}/api", *server, **apart))
        front = stack.enter_context(Front(lab, host))
        yield Lab(notebooks, front, chromium)


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The shared JupyterLab; browsers and kernels end with the test."""
    yield shared_lab
    shared_lab.close()
