"""Output while you were away, on our own pages."""

import pytest
from playwright.sync_api import expect

from web.conftest import Visitors
from web.stage import Samples

pytestmark = pytest.mark.browser


def test_home_and_workspace_lead_to_what_nobody_saw(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana", "light").open("/")
    page.get_by_role("link", name="Look churn/notebooks/left.ipynb").click()
    expect(page.get_by_role("heading", name="Output while you were away")).to_be_visible()
    expect(page.get_by_role("region", name="Output of cell b2d4 of notebooks/left.ipynb, part 1")).to_have_text(
        "epoch 3 of 40  loss 0.371"
    )
    expect(page.get_by_alt_text("<Figure>")).to_be_visible()
    ran = page.locator("#away code").all_inner_texts()
    assert ran == ["a1c3", "b2d4"]
    page.goto(page.url.removesuffix("/away") + "/sessions")
    page.get_by_role("link", name="Output while you were away").click()
    expect(page.get_by_role("button", name="Insert into notebook")).to_be_visible()
    page.close()


def test_a_notebook_that_is_open_is_left_alone_with_words(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana", "light").open("/w/{churn}/away".format(**samples.ids))
    page.get_by_role("button", name="Insert into notebook").click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody has left.ipynb open.")
    expect(page.get_by_role("button", name="Insert into notebook")).to_be_visible()
    page.close()
