"""What people do on the pages, in a real browser against the real services."""

import re

import pytest
from playwright.sync_api import Page, expect

from studiolo.contract.models import SessionState
from studiolo.server.principal import OPERATOR, Principal
from web.conftest import Visitors
from web.stage import PASSWORD, Samples

pytestmark = pytest.mark.browser


def person(samples: Samples, name: str) -> Principal:
    stage = samples.stage

    async def find() -> Principal:
        async with stage.services.db.read() as connection:
            ref = await stage.services.accounts.find_person(connection, name)
        return Principal(ref.id, ref.name, ref.display_name, is_admin=False, via="login", login_id="l-0")

    return stage.do(find())


def test_sign_in_lands_where_one_was_going(visitors: Visitors, samples: Samples) -> None:
    page = visitors.new(None).open(f"/w/{samples.ids['churn']}/people")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.fill("#name", "ana@example.com")
    page.fill("#password", "not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Name and password do not match.")
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(f"/w/{samples.ids['churn']}/people$"))


def test_a_link_signs_in_only_when_asked_for(visitors: Visitors, samples: Samples) -> None:
    link = samples.stage.do(samples.stage.services.accounts.create_sign_in_link(OPERATOR, "nils"))
    path = link.url.removeprefix(samples.stage.address)
    for _ in range(2):
        page = visitors.new(None).open(path)
        expect(page.get_by_role("heading", name="Sign in as nils")).to_be_visible()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Make your first workspace")).to_be_visible()
    again = visitors.new(None).open(path)
    expect(again.get_by_role("alert")).to_contain_text("used before or has expired")


def test_signing_out_ends_the_login(visitors: Visitors) -> None:
    visitor = visitors.new("leo")
    page, other = visitor.open("/"), visitor.open("/workspaces")
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
    # The other tab hears that the login ended.
    expect(other).to_have_url(re.compile("/sign-in"))


def test_everything_works_without_scripts(visitors: Visitors, samples: Samples) -> None:
    visitor = visitors.new("leo", java_script_enabled=False)
    page = visitor.open("/workspaces")
    page.locator("summary", has_text="New workspace").click()
    page.fill("#new-name", "Not a name")
    page.get_by_role("button", name="Make workspace").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot name a workspace")
    page.fill("#new-name", "plain-html")
    page.get_by_role("button", name="Make workspace").click()
    expect(page.get_by_role("heading", name="plain-html")).to_be_visible()
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(re.compile(r"//s-[a-z0-9]+\.localhost:\d+/s/s-"))
    page.goto(samples.stage.address)
    expect(page.get_by_text("plain-html").first).to_be_visible()


def test_a_start_is_watched_and_moves_on_by_itself(visitors: Visitors, samples: Samples) -> None:
    stage = samples.stage
    ana = person(samples, "ana")
    session = stage.do(stage.session(ana, samples.ids["churn"], "slow", until=SessionState.STARTING))
    page = visitors.get("ana").open(f"/go/{session.id}")
    expect(page).to_have_title(re.compile("^Starting: churn"))
    expect(page.locator(".steps .active")).to_contain_text("Server")
    expect(page.locator(".newest")).to_contain_text("Serving notebooks")
    stage.do(later(stage.engine.make_ready, {"workload_id": session.id, "launch": 1}))
    page.wait_for_url(re.compile(rf"//{session.id}\.localhost:\d+/s/{session.id}/lab$"))


async def later(act, *given):  # type: ignore[no-untyped-def]
    act(*given)


def test_a_failed_start_marks_its_step_and_can_be_tried_again(visitors: Visitors, samples: Samples) -> None:
    stage = samples.stage
    session = stage.do(
        stage.session(person(samples, "ana"), samples.ids["churn"], "broken", until=SessionState.STARTING)
    )
    page = visitors.get("ana").open(f"/go/{session.id}")
    stage.do(later(stage.engine.crash, {"workload_id": session.id, "launch": 1}))
    expect(page.get_by_role("heading", name="JupyterLab failed")).to_be_visible()
    expect(page.locator(".steps .failed")).to_contain_text("Server")
    expect(page.locator(".log")).to_contain_text("Serving notebooks")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(re.compile(rf"//{session.id}\.localhost"))


def test_cancelling_a_start_stops_it(visitors: Visitors, samples: Samples) -> None:
    stage = samples.stage
    session = stage.do(
        stage.session(person(samples, "ana"), samples.ids["churn"], "unwanted", until=SessionState.STARTING)
    )
    page = visitors.get("ana").open(f"/go/{session.id}")
    page.get_by_role("button", name="Cancel").click()
    row = page.locator(f"[data-key='{session.id}']")
    expect(row).to_contain_text("Stopped")


def test_the_session_password_is_asked_and_checked(visitors: Visitors, samples: Samples) -> None:
    page = visitors.new("ana").open(f"/go/{samples.ids['secret']}?next=lab/tree/a.ipynb")
    page.fill("#password", "wrong")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("alert")).to_contain_text("not the session's password")
    page.fill("#password", "open")
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(re.compile(r"\.localhost:\d+/s/.*/lab/tree/a\.ipynb$"))


def test_members_are_added_changed_and_removed(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open(f"/w/{samples.ids['forecasts']}/people")
    page.fill("#person", "nobody-here")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There is no person")
    page.fill("#person", "leo@example.com")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("[data-result]")).to_be_focused()
    page.get_by_label("Role of Leo Brandt").select_option("viewer")
    expect(page.locator("[data-result]")).to_have_text("Role changed.")
    page.get_by_role("button", name="Remove Leo Brandt").click()
    expect(page.get_by_label("Role of Leo Brandt")).to_have_count(0)


def test_deleting_asks_for_the_name(visitors: Visitors, samples: Samples) -> None:
    made = samples.stage.do(samples.stage.workspace(person(samples, "ana"), "to-be-deleted"))
    page = visitors.get("ana").open(f"/w/{made}/settings")
    page.fill("#typed", "something else")
    page.get_by_role("button", name="Delete workspace").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was deleted")
    page.fill("#typed", "to-be-deleted")
    page.get_by_role("button", name="Delete workspace").click()
    expect(page.locator("[data-result]")).to_contain_text("Deleted.")


def test_a_key_is_shown_once(visitors: Visitors) -> None:
    page = visitors.get("ana").open("/account")
    page.get_by_text("New key").click()
    page.locator("#keys #name").fill("cluster")
    page.get_by_role("button", name="Make key").click()
    key = page.locator("#new-key").inner_text()
    assert key.startswith("sto_")
    page.reload()
    expect(page.get_by_text(key)).to_have_count(0)
    page.get_by_role("button", name="Revoke cluster").click()
    expect(page.locator("[data-result]")).to_have_text("Revoked.")


def test_a_new_person_gets_a_link_with_the_notice(visitors: Visitors) -> None:
    page = visitors.get("mia").open("/admin/people")
    page.fill("#name", "zoe")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#invitation")).to_contain_text("/sign-in?link=")
    expect(page.locator("#invitation")).to_contain_text("can read everyone's files")


def test_a_form_without_its_token_changes_nothing(visitors: Visitors) -> None:
    visitor = visitors.get("nils")
    assert visitor.post("/workspaces", name="slipped-in") == 403
    assert visitor.post("/workspaces", name="slipped-in", csrf="0" * 32) == 403
    page = visitor.open("/workspaces")
    expect(page.get_by_text("slipped-in")).to_have_count(0)


def test_a_long_list_has_more_pages(visitors: Visitors) -> None:
    page = visitors.get("mia").open("/workspaces?q=study")
    page.get_by_role("link", name="More workspaces").click()
    expect(page.locator("#workspaces [data-key]")).to_have_count(14)
    page.get_by_role("link", name="Back to the first").click()
    expect(page.locator("#workspaces [data-key]")).to_have_count(50)


def test_an_unknown_host_is_told_the_address(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get(None).open("/signed-out")
    page.goto(f"http://other.localhost:{samples.stage.port}/")
    expect(page.locator("main")).to_contain_text(f"Use {samples.stage.address}")


def test_missing_and_forbidden_read_alike(visitors: Visitors, samples: Samples) -> None:
    visitor = visitors.get("nils")

    def text(path: str) -> str:
        page: Page = visitor.open(path)
        shown = page.locator("main h1, main p").all_inner_texts()
        page.close()
        return " ".join(shown)

    missing = text("/w/w-0000000000000000")
    assert "Nothing here that you can see." in missing
    for path in (f"/w/{samples.ids['churn']}", f"/sessions/{samples.ids['running']}", "/admin/people", "/no-such"):
        assert text(path) == missing
