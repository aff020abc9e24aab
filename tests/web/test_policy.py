"""Package policies on pages, in a real browser: kept in one step, set with line-exact faults, tried before."""

import pytest
from playwright.sync_api import expect

from web.conftest import Visitors
from web.sample_requests import SAMPLE_POLICY
from web.stage import Samples

pytestmark = pytest.mark.browser


def test_the_administrator_keeps_the_shipped_policy_in_one_step(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("mia").open("/")
    row = page.locator("#needs-you tr", has_text="The package policy")
    expect(row).to_contain_text("refuses")
    row.get_by_role("link", name="Keep or change").click()
    expect(page.get_by_role("heading", name="Keep this policy, or change it")).to_be_visible()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("Set. It holds from now on.")).to_be_visible()
    expect(page.locator("#history")).to_contain_text("Kept as it came with Studiolo.")
    expect(visitors.get("mia").open("/").locator("#needs-you tr", has_text="The package policy")).to_have_count(0)


def test_a_bad_entry_is_named_with_its_line_and_the_text_stays(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open(f"/w/{samples.ids['churn']}/policy")
    text = "package_management:\n  blocked_packages:\n    - six\n    - a b\n"
    page.fill("#document", text)
    page.get_by_role("button", name="Set policy").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 4")
    expect(page.locator("#document")).to_have_value(text)


def test_a_policy_is_tried_then_set_then_compared(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open(f"/w/{samples.ids['churn']}/policy")
    # Others ask for what the samples' policy has people ask for.
    page.fill("#document", f"{SAMPLE_POLICY}  blocked_packages: [cowsay]\n")
    page.fill("#note", "too quick for us")
    page.get_by_role("button", name="What would change?").click()
    expect(page.locator("#outlook")).to_contain_text("Nothing was set")
    page.get_by_role("button", name="Set policy").click()
    expect(page.get_by_text("Set. It holds from now on.")).to_be_visible()
    expect(page.locator("#policy")).to_contain_text("cowsay")
    page.get_by_role("link", name="Compare").first.click()
    expect(page.locator("#difference")).to_contain_text("+   blocked_packages: [cowsay]")


def test_a_viewer_sees_the_policy_and_no_way_to_set_it(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open(f"/w/{samples.ids['reading']}/policy")
    expect(page.locator("#policy")).to_contain_text("requests")
    expect(page.get_by_role("button", name="Set policy")).to_have_count(0)
