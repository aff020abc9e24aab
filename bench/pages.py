"""How fast does home appear with 500 workspaces and 20 live sessions, and what do twelve open tabs cost?

First paint: Chromium loads home with an empty cache and, in turn, with a filled one; the time is the page's own
`first-contentful-paint` entry. Tabs: processor time of the control plane over thirty seconds, without a tab and with
twelve tabs of home, all of them visible to the browser, while each session saves a notebook every ten seconds.
Needs Playwright and Chromium, as the tests of pages do.
"""

import contextlib
import itertools
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import psutil
from _measure import Series, alternate
from _platform import Platform, studiolo
from _report import Report, options
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

_WORKSPACES, _SESSIONS, _TABS = 500, 20, 12
_SESSION_ACTS_EVERY = 10.0
_WINDOW_SECONDS = 30.0
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
_PAINT = """() => new Promise(resolve => new PerformanceObserver((list, observer) => {
    const entry = list.getEntriesByName("first-contentful-paint")[0];
    if (entry) { observer.disconnect(); resolve(entry.startTime / 1000); }
}).observe({ type: "paint", buffered: true }))"""


def main() -> None:
    """Measure and report."""
    report = Report("pages", options(__doc__))
    with studiolo() as platform, _chromium() as browser:
        sessions = _fill(platform)
        signed_in = _sign_in(platform, browser)
        with _acting(platform, sessions):
            paints = first_paint(platform, browser, signed_in, report.options.runs)
            alone, with_tabs = tabs(platform, browser, signed_in, max(1, report.options.runs // 10))
    report.series += [*paints, alone, with_tabs]
    for series in paints:
        report.at_most(series.name, series.median * 1000, 300, "ms")
    cost = with_tabs.median - alone.median
    report.at_most(f"{_TABS} tabs, beyond what it costs without", cost, 2, "% of a core")
    report.notes.append(f"{_WORKSPACES} workspaces, {_SESSIONS} sessions; each acts every {_SESSION_ACTS_EVERY:.0f} s.")
    report.finish()


def first_paint(platform: Platform, browser: Browser, signed_in: BrowserContext, runs: int) -> list[Series]:
    """Load home with an empty cache and with a filled one, in turn."""
    state = signed_in.storage_state()

    def cold() -> float:
        context = browser.new_context(storage_state=state)
        try:
            return _load(platform, context)
        finally:
            context.close()

    return alternate(
        runs, "s", {"first paint, empty cache": cold, "first paint, again": lambda: _load(platform, signed_in)}
    )


def tabs(platform: Platform, browser: Browser, signed_in: BrowserContext, runs: int) -> list[Series]:
    """Processor use of the control plane, in per cent of a core, without a tab and with twelve."""
    control_plane = psutil.Process(platform.process_of("control-plane"))

    def used() -> float:
        before = sum(control_plane.cpu_times()[:2])
        time.sleep(_WINDOW_SECONDS)
        return (sum(control_plane.cpu_times()[:2]) - before) / _WINDOW_SECONDS * 100

    def with_tabs() -> float:
        pages = [signed_in.new_page() for _ in range(_TABS)]
        for page in pages:
            page.goto(_home(platform))
            expect(page.locator("[data-health-word]").first).to_have_text("Live")
        # The tabs' own loading is over by then.
        time.sleep(2)
        percent = used()
        for page in pages:
            page.close()
        return percent

    return alternate(runs, "%", {"control plane without tabs": used, f"control plane, {_TABS} tabs": with_tabs})


def _load(platform: Platform, context: BrowserContext) -> float:
    page = context.new_page()
    page.goto(_home(platform))
    seconds = float(page.evaluate(_PAINT))
    page.close()
    return seconds


def _home(platform: Platform) -> str:
    return f"http://localhost:{platform.port}/"


def _sign_in(platform: Platform, browser: Browser) -> BrowserContext:
    link = next(word for word in platform.command("sign-in-link").split() if "link=" in word)
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(_home(platform))
    page.close()
    return context


def _fill(platform: Platform) -> list[str]:
    """Start the sessions, and make the other workspaces as copies of the first one's row."""
    workspace = platform.make_workspace("study-000")
    with ThreadPoolExecutor(4) as threads:
        sessions = list(threads.map(platform.launch, [workspace] * _SESSIONS))
        list(threads.map(platform.enter, sessions))
    with contextlib.closing(sqlite3.connect(platform.data / "studiolo.db", timeout=30)) as database, database:
        for number in range(1, _WORKSPACES):
            changed = {"id": f"w-{number:016}", "name": f"study-{number:03}"}
            _copy_row(database, "workspaces", {"id": workspace}, changed)
            _copy_row(database, "members", {"workspace_id": workspace}, {"workspace_id": changed["id"]})
    return sessions


def _copy_row(database: sqlite3.Connection, table: str, which: dict[str, str], changed: dict[str, str]) -> None:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    values = ", ".join("?" if column in changed else column for column in columns)
    where = " AND ".join(f"{column} = ?" for column in which)
    parameters = [changed[column] for column in columns if column in changed] + list(which.values())
    database.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {where}", parameters
    )


@contextlib.contextmanager
def _acting(platform: Platform, sessions: list[str]) -> Iterator[None]:
    """Let each session save a notebook every ten seconds, spread over them, for the length of a block."""
    ended = Event()
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    body = {"type": "notebook", "format": "json", "content": notebook}

    def act() -> None:
        for turn in itertools.count():
            if ended.wait(_SESSION_ACTS_EVERY / len(sessions)):
                return
            session = sessions[turn % len(sessions)]
            platform.client.ask("PUT", f"/s/{session}/api/contents/{session}-{turn % 7}.ipynb", body)

    thread = Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise SystemExit("error: Chromium is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()


if __name__ == "__main__":
    main()
