"""Close the tab in mid-run and come back on another computer, or never: the notebook holds all output."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from e2e.conftest import Platform
from e2e.test_main_job import create_workspace, press_open, sign_in
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(400)]

# Prints half of its lines; the rest when there is a file of its name.
SOURCE = """
import pathlib, time
for n in range(20):
    print('line', n, flush=True)
    while n == 9 and not pathlib.Path('GO').exists():
        time.sleep(0.02)
'e' 'nd'
"""
LINES = [f"line {n}" for n in range(20)]


def write(folder: Path, name: str) -> Path:
    """Write a notebook with that one cell, which waits for the file `go-NAME`."""
    cell = {"cell_type": "code", "id": "slow", "metadata": {}, "execution_count": None, "outputs": []}
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook: dict[str, Any] = {"metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    notebook["cells"] = [cell | {"source": SOURCE.replace("GO", f"go-{name}")}]
    file = folder / f"{name}.ipynb"
    file.write_text(json.dumps(notebook))
    return file


def saved_lines(file: Path) -> list[str]:
    """The lines of text that the file holds for its cell."""
    try:
        outputs = json.loads(file.read_text())["cells"][0]["outputs"]
    except ValueError:
        # Just being written.
        return []
    return "".join("".join(out["text"]) for out in outputs if out["output_type"] == "stream").splitlines()


@contextmanager
def looking(chromium: Browser, platform: Platform, workspace: str) -> Iterator[Page]:
    """A browser of its own, signed in, at the workspace's JupyterLab."""
    context = sign_in(chromium, platform)
    page = context.new_page()
    page.goto(platform.address)
    page.get_by_role("link", name=workspace, exact=True).first.click()
    press_open(page)
    yield page
    context.close()


def open_notebook(page: Page, name: str) -> None:
    """Open a notebook of the start folder and wait until its cell is there."""
    page.goto(f"{page.url.split('/lab')[0]}/lab/tree/notebooks/{name}.ipynb?reset")
    expect(page.locator(".jp-CodeCell")).to_be_visible(timeout=60_000)


def start(page: Page, name: str) -> None:
    """Open a notebook, run its cell and see the first half of its output."""
    open_notebook(page, name)
    expect(page.get_by_text("| Idle")).to_be_visible(timeout=60_000)
    page.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".jp-Cell-outputArea")).to_contain_text("line 9", timeout=60_000)


def shown_lines(page: Page) -> list[str]:
    """The lines that the cell shows."""
    text = page.locator(".jp-Cell-outputArea").inner_text()
    return [line for line in text.splitlines() if line.startswith("line")]


@pytest.mark.req("S1-06", "S1-09", "S4-36")
def test_a_notebook_left_in_mid_run_fills_itself(platform: Platform, chromium: Browser) -> None:
    context = sign_in(chromium, platform)
    create_workspace(context.new_page(), platform, "away")
    context.close()
    folder = Path(platform.json("info", "away")["path"]) / "notebooks"
    left, back = write(folder, "left"), write(folder, "back")
    with looking(chromium, platform, "away") as page:
        start(page, "left")
        start(page, "back")
    (folder / "go-left").touch()

    with looking(chromium, platform, "away") as page:
        open_notebook(page, "back")
        expect(page.locator(".jp-Cell-outputArea")).to_contain_text("line 9", timeout=60_000)
        expect(page.locator(".jp-CodeCell .jp-InputPrompt")).to_have_text("[*]:")
        assert shown_lines(page) == LINES[:10]
        (folder / "go-back").touch()
        expect(page.locator(".jp-Cell-outputArea")).to_contain_text("'end'")
        assert shown_lines(page) == LINES
        expect(page.locator(".jp-CodeCell .jp-InputPrompt")).to_have_text("[1]:")
        page.keyboard.press("Control+s")
        wait_for(lambda: saved_lines(back) == LINES, "what came back is saved")
        assert json.loads(back.read_text())["metadata"]["studiolo"]["environment"]

        page.goto(platform.address)
        page.get_by_role("link", name="Look away/notebooks/left.ipynb").click()
        expect(page.get_by_role("heading", name="Output while you were away")).to_be_visible()
        expect(page.get_by_role("region", name="Output of cell slow of notebooks/left.ipynb, part 1")).to_contain_text(
            "line 19"
        )
    # Nobody opens it again.
    wait_for(lambda: saved_lines(left) == LINES, "the notebook that was left is filled", seconds=120)
    assert json.loads(left.read_text())["cells"][0]["execution_count"] == 1
