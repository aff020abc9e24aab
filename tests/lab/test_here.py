"""Notices, other people and the Studiolo menu inside a stock JupyterLab with our plug-in."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from lab.conftest import Lab, run, saved, shown
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.e2e]
LEO = {"id": "p-0000000000000002", "name": "leo", "display_name": "Leo Brandt"}
IDLE = {
    "id": "idle",
    "level": "warning",
    "text": "It stops at {until}.",
    "until": "2026-11-21T17:05:00Z",
    "actions": [{"word": "Keep running", "do": "keep-running", "link": None}],
}


@pytest.fixture
def here(lab: Lab) -> Iterator[dict[str, Any]]:
    """What the platform says; tests change it."""
    said: dict[str, Any] = {
        "notices": [],
        "others": {},
        "links": {"workspace": f"{lab.address}/api", "tree": "x/tree/"},
    }
    lab.front.here, lab.front.told = said, []
    yield said
    lab.front.here = lab.front.shut = None


def test_a_notice_appears_with_its_deed_and_goes_with_its_cause(lab: Lab, here: dict[str, Any]) -> None:
    here["notices"] = [IDLE]
    lab.write("notice.ipynb", "1")
    page = lab.open("notice.ipynb")
    notice = page.locator(".Toastify__toast", has_text="It stops at")
    expect(notice).to_be_visible()
    expect(notice).not_to_contain_text("{until}")
    here["notices"] = []
    notice.get_by_role("button", name="Keep running").click()
    wait_for(lambda: any(said.get("do") == "keep-running" for said in lab.front.told), "the deed is asked for")
    expect(notice).to_have_count(0)


def test_a_notice_that_was_closed_stays_closed(lab: Lab, here: dict[str, Any]) -> None:
    here["notices"] = [IDLE | {"actions": []}]
    lab.write("closed.ipynb", "1")
    page = lab.open("closed.ipynb")
    notice = page.locator(".Toastify__toast", has_text="It stops at")
    notice.get_by_label("Close").or_(notice.locator("button")).first.click()
    expect(notice).to_have_count(0)
    before = len(lab.front.told)
    wait_for(lambda: len(lab.front.told) > before + 1, "two more questions", seconds=60)
    expect(notice).to_have_count(0)


def test_a_long_notice_can_be_read_to_its_end(lab: Lab, here: dict[str, Any]) -> None:
    here["notices"] = [IDLE | {"id": "long", "text": "Word by word. " * 20 + "The end.", "until": None, "actions": []}]
    lab.write("long.ipynb", "1")
    page = lab.open("long.ipynb")
    page.locator(".Toastify__toast").get_by_role("button", name="Read all").click()
    expect(page.locator(".jp-Dialog")).to_contain_text("The end.")


def test_a_session_that_was_stopped_says_why_and_leads_back(lab: Lab, here: dict[str, Any]) -> None:
    here["notices"] = [IDLE]
    lab.write("stopped.ipynb", "1")
    page = lab.open("stopped.ipynb")
    idle = page.locator(".Toastify__toast", has_text="It stops at")
    stopped = page.locator(".jp-Dialog", has_text="Stopped by Leo Brandt")
    expect(idle).to_be_visible()
    lab.front.shut = 409, {"code": "session-not-running", "detail": "The session does not run. Stopped by Leo Brandt."}
    expect(stopped).to_be_visible(timeout=60_000)
    # What was true of it while it ran is told no more.
    expect(idle).to_have_count(0)
    with page.context.expect_page() as opened:
        stopped.get_by_role("button", name="Start it again").click()
    assert opened.value.url.endswith("stopped.ipynb")


def test_who_else_has_a_notebook_open_stands_in_its_toolbar(lab: Lab, here: dict[str, Any]) -> None:
    here["others"] = {"shared.ipynb": [LEO]}
    lab.write("shared.ipynb", "1")
    page = lab.open("shared.ipynb")
    expect(page.get_by_role("status").get_by_text("Leo Brandt has this open")).to_be_visible()
    assert any(said["open"] == ["shared.ipynb"] for said in lab.front.told)


def test_the_studiolo_menu_leads_to_the_platform_and_stops_the_session(lab: Lab, here: dict[str, Any]) -> None:
    file = lab.write("menu.ipynb", "1")
    page = lab.open("menu.ipynb")
    run(page, 0)
    expect(shown(page, 0)).to_contain_text("1")
    wait_for(lambda: lab.front.told, "the platform was asked")
    page.get_by_role("menuitem", name="Studiolo").click()
    with page.context.expect_page() as opened:
        page.get_by_role("menuitem", name="Workspace Page").click()
    assert opened.value.url == here["links"]["workspace"]
    page.get_by_role("menuitem", name="Studiolo").click()
    page.get_by_role("menuitem", name="Stop This Session").click()
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for(lambda: any(said.get("do") == "stop" for said in lab.front.told), "the stop is asked for")
    # Nobody comes back to a notebook without the output that it had.
    assert saved(file)[0]
