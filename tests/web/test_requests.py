"""Asking for packages and deciding, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from web.conftest import Visitors
from web.stage import Samples

pytestmark = pytest.mark.browser


@pytest.mark.req("S0-63", "S0-64", "S0-65", "S0-69")
def test_a_refusals_link_leads_to_an_approval_that_open_pages_hear_of(visitors: Visitors, samples: Samples) -> None:
    asking, deciding = visitors.get("leo"), visitors.get("mia")
    watching = deciding.open("/admin")
    before = watching.locator("#rail-requests").inner_text()
    page = asking.open(f"/w/{samples.ids['churn']}/request?package=pytorch")
    expect(page.get_by_text("pytorch needs an approval.")).to_be_visible()
    page.fill("#purpose", "Images of the week")
    page.get_by_role("button", name="Ask for it").click()
    expect(page.get_by_role("status").first).to_contain_text("Asked for.")
    expect(page.get_by_role("heading", name=re.compile("pytorch"))).to_be_visible()
    # The count in the rail of a page that was open all the while.
    expect(watching.locator("#rail-requests")).not_to_have_text(before)
    watching.get_by_role("link", name=re.compile("Requests")).first.click()
    watching.get_by_role("link", name="pytorch").click()
    expect(watching.get_by_text("Images of the week")).to_be_visible()
    watching.get_by_role("button", name="Approve").click()
    expect(watching.get_by_role("status").first).to_contain_text("Approved.")
    # Its state changes on the page of who asked, by itself.
    expect(page.locator("#request")).to_contain_text("by Mia Okonkwo")
    news = asking.open("/notifications")
    row = news.get_by_role("row", name=re.compile("Mia Okonkwo allowed pytorch in churn"))
    row.get_by_role("button", name="Look").click()
    expect(news).to_have_url(re.compile(r"/requests\?request=r-"))
    for one in (watching, page, news):
        one.close()


@pytest.mark.req("S0-70")
def test_a_denial_is_seen_as_its_reader_will_see_it(visitors: Visitors, samples: Samples) -> None:
    asking, deciding = visitors.get("ana"), visitors.get("mia")
    page = asking.open(f"/w/{samples.ids['churn']}/request?package=urllib3")
    expect(page.get_by_text("only an exception does")).to_be_visible()
    page.get_by_role("button", name="Ask for it").click()
    page.wait_for_url(re.compile("/requests"))
    decided = deciding.open(page.url.removeprefix(samples.stage.address).partition("&said")[0])
    decided.locator("summary", has_text="Deny").click()
    decided.fill("#reason", "Security concern")
    expect(decided.locator("#denial")).to_contain_text("Mia Okonkwo denied urllib3 in churn: Security concern")
    # What was typed is not lost while the page is brought up to date.
    expect(decided.locator("#reason")).to_have_value("Security concern")
    decided.get_by_role("button", name="Deny", exact=True).click()
    expect(decided.locator("#request")).to_contain_text("“Security concern”")
    expect(page.locator("#request")).to_contain_text("“Security concern”")
    for one in (page, decided):
        one.close()


def test_all_notifications_are_marked_as_seen(visitors: Visitors, samples: Samples) -> None:
    visitor = visitors.get("ana")
    page = visitor.open("/notifications")
    expect(page.locator("#rail-news")).not_to_be_empty()
    page.get_by_role("button", name="Mark all as seen").click()
    expect(page.locator("#rail-news")).to_be_empty()
    expect(page.get_by_role("button", name="Mark all as seen")).to_have_count(0)
    page.close()


def test_one_who_asks_for_nonsense_keeps_their_words(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open(f"/w/{samples.ids['churn']}/request")
    page.fill("#package", "six @ file:///tmp")
    page.fill("#purpose", "A try")
    page.get_by_role("button", name="Ask for it").click()
    expect(page.get_by_role("alert")).to_contain_text("names no package")
    expect(page.locator("#purpose")).to_have_value("A try")
    page.close()
