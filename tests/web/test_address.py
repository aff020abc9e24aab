"""Permanent addresses of notebooks, in a real browser against the real services."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from studiolo.contract.models import MemberSet
from studiolo.contract.operations import Role
from web.conftest import Visitors
from web.stage import PASSWORD, Samples

pytestmark = pytest.mark.browser
_FILE = "/w/olga/study/lab/tree/notebooks/in%20Arbeit.ipynb"


@pytest.fixture(scope="module")
def workspace(samples: Samples) -> str:
    """A workspace of Olga's that Vera looks at; nothing runs in it."""
    stage = samples.stage
    olga = stage.do(stage.add("olga", "Olga Sand"))
    stage.do(stage.add("vera", "Vera Lind"))
    stage.do(stage.workspace(olga, "second"))
    made = stage.do(stage.workspace(olga, "study"))
    stage.do(stage.services.members.set_member(olga, made, MemberSet(person="vera", role=Role.VIEWER)))
    return made


def _landing(url: str) -> list[str]:
    return parse_qs(urlsplit(url).query)["next"]


def test_another_site_s_link_asks_before_it_starts_anything(visitors: Visitors, workspace: str) -> None:
    olga = visitors.get("olga")
    page = olga.open("/")
    page.goto(f"data:text/html,<a href='{olga.stage.address}{_FILE}'>look</a>")
    page.get_by_role("link", name="look").click()
    expect(page.get_by_role("heading", name="notebooks/in Arbeit.ipynb")).to_be_visible()
    expect(page.get_by_role("button", name="Open")).to_be_visible()
    with page.expect_request(re.compile("/go/s-")) as asked:
        page.get_by_role("button", name="Open").click()
    assert _landing(asked.value.url) == ["lab/tree/notebooks/in%20Arbeit.ipynb"]


def test_a_permanent_address_starts_a_session_and_lands_on_the_file_after_sign_in(
    visitors: Visitors, workspace: str
) -> None:
    file = _FILE.replace("/study/", "/second/")
    page = visitors.new(None).open(file)
    expect(page).to_have_url(re.compile("/sign-in"))
    page.fill("#name", "olga")
    page.fill("#password", PASSWORD)
    with page.expect_request(re.compile("/go/s-")) as first:
        page.get_by_role("button", name="Sign in").click()
    assert _landing(first.value.url) == ["lab/tree/notebooks/in%20Arbeit.ipynb"]
    # The second time the session runs, and nothing is in between.
    again = visitors.get("olga")
    page = again.open("/")
    with page.expect_request(re.compile("/go/s-")) as second:
        page.goto(again.stage.address + file, wait_until="commit")
    assert urlsplit(second.value.url).path == urlsplit(first.value.url).path
    assert _landing(second.value.url) == _landing(first.value.url)


def test_a_viewer_is_led_to_the_workspace_and_a_stranger_to_nothing(visitors: Visitors, workspace: str) -> None:
    expect(visitors.get("vera").open(_FILE)).to_have_url(re.compile(f"/w/{workspace}"))
    page = visitors.get("nils").open(_FILE)
    expect(page.get_by_text("Nothing here that you can see")).to_be_visible()


def test_a_path_that_climbs_out_is_refused(visitors: Visitors, workspace: str) -> None:
    olga = visitors.get("olga")
    token = olga.open("/").locator("input[name=csrf]").first.get_attribute("value")
    assert token
    assert olga.post("/w/olga/study/lab", csrf=token, path="../../account") == 422
