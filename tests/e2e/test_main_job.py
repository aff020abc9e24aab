"""The main job: from `studiolo up` to a cell that ran, in a real browser; and nothing can take it away."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from e2e.conftest import Platform
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(400)]

NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "read",
            "metadata": {},
            "source": "import pandas as pd\nsales = pd.read_csv('sales.csv')\nprint('rows', len(sales))",
            "execution_count": None,
            "outputs": [],
        },
        {
            "cell_type": "code",
            "id": "plot",
            "metadata": {},
            "source": "import matplotlib.pyplot as plt\nsales.groupby('month').sold.sum().plot()\nplt.show()",
            "execution_count": None,
            "outputs": [],
        },
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def sign_in(chromium: Browser, platform: Platform) -> BrowserContext:
    """Sign a new browser in with the link that the terminal prints."""
    printed = platform.run("sign-in-link").stdout
    link = re.search(r"http://\S+/sign-in\S+", printed)
    assert link, printed
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(link[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading").first).to_be_visible()
    page.close()
    return context


def create_workspace(page: Page, platform: Platform, name: str) -> None:
    """Make a workspace on the home page."""
    page.goto(platform.address)
    form = page.locator("form", has=page.locator("input[name=name]")).first
    if not form.is_visible():
        page.get_by_text("New workspace").first.click()
    form.locator("input[name=name]").fill(name)
    form.get_by_role("button").first.click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def press_open(page: Page) -> None:
    """Press Open on a workspace's page and wait until the browser is at its JupyterLab, which has begun to load."""
    page.get_by_role("button", name="Open", exact=True).or_(
        page.get_by_role("link", name="Open", exact=True)
    ).first.click()
    page.wait_for_url("**/lab**", timeout=60_000, wait_until="commit")


def open_lab(page: Page) -> None:
    """Press Open on a workspace's page and wait for JupyterLab."""
    press_open(page)
    expect(page.locator("#jp-main-dock-panel")).to_be_visible(timeout=60_000)


def open_notebook(page: Page, name: str) -> None:
    """Open a notebook of the start folder in the JupyterLab that the page shows."""
    page.goto(f"{page.url.split('/lab')[0]}/lab/tree/notebooks/{name}")
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("| Idle")).to_be_visible(timeout=60_000)


def menu(page: Page, name: str, entry: str) -> None:
    """Choose an entry of JupyterLab's menu bar."""
    page.get_by_role("menuitem", name=name, exact=True).click()
    page.get_by_role("menuitem", name=entry).first.click()


@pytest.mark.req("S0-03", "S2-01", "S3-02", "S3-09", "S3-12")
def test_the_main_job_survives_browser_and_platform(make_platform: Callable[..., Platform], chromium: Browser) -> None:
    platform = make_platform(lock=None)
    platform.up()
    context = sign_in(chromium, platform)
    page = context.new_page()
    create_workspace(page, platform, "churn")
    folder = Path(platform.json("info", "churn")["path"]) / "notebooks"
    (folder / "sales.csv").write_text("month,sold\n1,3\n2,5\n2,4\n3,9\n")
    (folder / "plot.ipynb").write_text(json.dumps(NOTEBOOK))

    open_lab(page)
    open_notebook(page, "plot.ipynb")
    menu(page, "Run", "Run All Cells")
    expect(page.locator(".jp-OutputArea-output", has_text="rows 4")).to_be_visible(timeout=90_000)
    expect(page.locator(".jp-OutputArea-output img")).to_be_visible(timeout=90_000)
    menu(page, "File", "Save Notebook")
    saved = folder / "plot.ipynb"
    wait_for(lambda: "image/png" in saved.read_text(), "the saved notebook holds the plot")
    context.close()

    before = saved.read_bytes()
    session = platform.json("sessions", "churn")
    platform.run("down")
    platform.up()
    assert saved.read_bytes() == before
    again = platform.json("sessions", "churn")
    assert [s["id"] for s in _items(again)] == [s["id"] for s in _items(session)]
    assert [s["state"] for s in _items(again)] == ["running"]

    context = sign_in(chromium, platform)
    page = context.new_page()
    page.goto(platform.address)
    page.get_by_role("link", name="churn").first.click()
    press_open(page)
    open_notebook(page, "plot.ipynb")
    expect(page.locator(".jp-OutputArea-output img")).to_be_visible(timeout=60_000)
    page.locator(".jp-CodeCell").last.click()
    context.close()


def _items(answer: object) -> list[dict[str, str]]:
    return answer["items"] if isinstance(answer, dict) else answer  # type: ignore[return-value]
