"""Pages that keep themselves true, and keys."""

import re

import pytest
from playwright.sync_api import expect

from studiolo.contract.models import MemberSet, SessionState
from studiolo.contract.operations import Role
from web.conftest import Visitors
from web.stage import Samples
from web.test_flows import person

pytestmark = pytest.mark.browser


def test_a_change_elsewhere_appears_and_is_tinted(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    page = visitors.get("ana").open("/")
    expect(page.locator("[data-health-word]").first).to_have_text("Live")
    session = stage.do(stage.session(ana, samples.ids["churn"], "appears", until=SessionState.RUNNING))
    row = page.locator(f"#running [data-key='{session.id}']")
    expect(row).to_contain_text("Running")
    expect(row).to_have_class(re.compile("changed"))
    stage.do(stage.services.sessions.stop(ana, session.id))
    expect(row).to_have_count(0)


def test_rows_under_the_pointer_keep_their_order(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    page = visitors.get("ana").open("/")
    keys = "rows => rows.map(row => row.dataset.key)"
    before = page.locator("#running [data-key]").evaluate_all(keys)
    page.locator("#running [data-key]").first.hover()
    session = stage.do(stage.session(ana, samples.ids["churn"], "newest", until=SessionState.RUNNING))
    expect(page.locator(f"#running [data-key='{session.id}']")).to_be_visible()
    assert page.locator("#running [data-key]").evaluate_all(keys) == [*before, session.id]
    stage.do(stage.services.sessions.stop(ana, session.id))


def test_focus_stays_on_its_button_when_the_list_is_read_again(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    page = visitors.get("ana").open("/")
    page.get_by_role("button", name="Stop lab-2").focus()
    session = stage.do(stage.session(ana, samples.ids["churn"], "other", until=SessionState.RUNNING))
    expect(page.locator(f"#running [data-key='{session.id}']")).to_be_visible()
    expect(page.get_by_role("button", name="Stop lab-2")).to_be_focused()
    stage.do(stage.services.sessions.stop(ana, session.id))


def test_being_cut_off_is_said_and_ends(visitors: Visitors, samples: Samples) -> None:
    page = visitors.new("ana").open("/")
    expect(page.locator("[data-health-word]").first).to_have_text("Live")
    samples.stage.do(samples.stage.go_away())
    try:
        expect(page.locator("[data-not-live]")).to_have_text(re.compile(r"Not live since \d\d:\d\d.*Reconnecting…"))
    finally:
        # All other tests are on this stage.
        samples.stage.do(samples.stage.come_back())
    expect(page.locator("[data-not-live]")).to_be_hidden()


def test_twelve_tabs_share_one_websocket(visitors: Visitors, samples: Samples) -> None:
    visitor = visitors.new("nils")
    pages = [visitor.open("/") for _ in range(12)]
    for page in pages:
        expect(page.locator("[data-health-word]").first).to_have_text("Live")
    nils = person(samples, "nils")
    listening = [one for one in samples.stage.services.live._listeners if one.person_id == nils.person_id]
    assert len(listening) == len({one.login_id for one in listening})


def test_who_loses_access_loses_the_open_page(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    made = stage.do(stage.workspace(ana, "shared-for-a-while"))
    stage.do(stage.services.members.set_member(ana, made, MemberSet(person="leo", role=Role.VIEWER)))
    page = visitors.get("leo").open(f"/w/{made}/settings")
    expect(page.get_by_role("heading", name="shared-for-a-while")).to_be_visible()
    expect(page.locator("[data-health-word]").first).to_have_text("Live")
    stage.do(stage.services.members.remove_member(ana, made, "leo"))
    expect(page.get_by_role("heading", name="Nothing here that you can see.")).to_be_visible()


def test_the_palette_finds_and_opens(visitors: Visitors) -> None:
    visitor = visitors.get("ana")
    page = visitor.open("/account")
    page.keyboard.press("Control+k")
    page.keyboard.type("foreca")
    expect(page.locator("#palette-found a").first).to_contain_text("forecasts-2027")
    page.locator("#palette-found a", has_text="workspace").first.wait_for()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#palette-found a").first).to_be_focused()
    page.keyboard.type("sts")
    expect(page.locator("#palette input")).to_have_value("forecasts")
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    assert visitor.complaints == []


def test_single_keys_move_open_and_can_be_switched_off(visitors: Visitors) -> None:
    visitor = visitors.new("ana")
    page = visitor.open("/workspaces")
    second = page.locator("#workspaces [data-key]").nth(1).get_attribute("data-key")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tr[aria-selected=true]")).to_have_attribute("data-key", str(second))
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="churn")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator("#new-name")).to_be_focused()
    page.goto(page.url.split("/workspaces")[0] + "/account")
    page.get_by_label("Single keys").uncheck()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_hidden()
    page.get_by_label("Single keys").check()
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()


def test_a_filter_narrows_while_typing(visitors: Visitors) -> None:
    page = visitors.get("mia").open("/workspaces")
    page.keyboard.press("/")
    page.keyboard.type("study-07")
    expect(page.locator("#workspaces [data-key]")).to_have_count(1)
