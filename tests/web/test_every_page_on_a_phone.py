"""Each page in each of its states: nothing wider than a phone, one button that stands out."""

import pytest
from playwright.sync_api import expect

from web.conftest import Visitors
from web.stage import Samples
from web.test_every_page import PAGES

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("state", PAGES)
def test_a_phone_scrolls_down_only_and_sees_one_filled_button(visitors: Visitors, samples: Samples, state: str) -> None:
    who, path = PAGES[state]
    page = visitors.get(who, "phone").open(path.format(**samples.ids))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".filled:visible").count() <= 1
    page.close()


def test_the_tab_that_is_shown_is_seen(visitors: Visitors, samples: Samples) -> None:
    who, path = PAGES["workspace's settings"]
    page = visitors.get(who, "phone").open(path.format(**samples.ids))
    expect(page.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=0.9)
    page.close()


def test_a_long_name_leaves_room_for_sign_out(visitors: Visitors, samples: Samples) -> None:
    stage = samples.stage
    stage.do(stage.add("wolfe", "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff Senior"))
    for look, foot in (("light", ".rail"), ("phone", ".phone-foot")):
        page = visitors.new("wolfe", look).open("/")
        box = page.locator(f"{foot} .you form").bounding_box()
        around = page.locator(foot).bounding_box()
        assert box is not None
        assert around is not None
        assert box["x"] + box["width"] <= around["x"] + around["width"]
        page.close()
