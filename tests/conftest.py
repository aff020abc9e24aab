"""What all tests share: one real browser, and the order that it needs."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from xdist.scheduler.loadscope import LoadScopeScheduling

CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Folders of tests that use the daemon of containers.
_OF_PODMAN = {"container", "deploy", "test_pods_as_containers.py"}


class Products(LoadScopeScheduling):
    """Two halves side by side: tests on one real product share its daemon, and are not run beside each other."""

    def _split_scope(self, nodeid: str) -> str:
        return "podman" if _OF_PODMAN.intersection(Path(nodeid.partition("::")[0]).parts) else "others"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Products | None:
    """Called by xdist, whose own groups (3.8) have no effect with pytest 9.2."""
    return Products(config, log) if config.getoption("markexpr") == "engine" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with the browser last: Playwright keeps an event loop of its own running, which others cannot share.

    Before and among them, whole platforms come first, then files of many tests: side by side, the longest must not
    begin last.
    """
    with_browser = {item.path for item in items if "chromium" in getattr(item, "fixturenames", ())}
    sizes = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[bool, bool, int, Path]:
        return item.path in with_browser, item.get_closest_marker("e2e") is None, -sizes[item.path], item.path

    items.sort(key=place)


def find_chromium() -> str | None:
    """Return the browser's program."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One real browser for the run."""
    program = find_chromium()
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is missing; `make test` installs it as root")
        pytest.skip("Chromium is not installed; `make test` installs it as root")
    # Playwright's own driver warns about descriptors of the test runner otherwise.
    os.environ.setdefault("NODE_NO_WARNINGS", "1")
    # Pages share two cores with whole platforms; what never comes is told in any case.
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()
