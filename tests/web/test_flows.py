"""What people do on the pages, in a real browser against the real services."""

import re

import pytest
from playwright.sync_api import Page, expect

from studiolo.contract.details import DevicePoll, DeviceStart
from studiolo.contract.models import MemberSet, SessionState
from studiolo.contract.operations import Role
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


def test_a_deleted_workspace_comes_back_by_undo(visitors: Visitors, samples: Samples) -> None:
    made = samples.stage.do(samples.stage.workspace(person(samples, "ana"), "deleted-by-mistake"))
    page = visitors.get("ana").open(f"/w/{made}/settings")
    page.get_by_role("button", name="Delete workspace").click()
    expect(page.locator("[data-result]")).to_contain_text("Deleted.")
    expect(page.locator("#workspaces")).not_to_contain_text("deleted-by-mistake")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="deleted-by-mistake")).to_be_visible()


def test_erasing_asks_for_the_name(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    made = stage.do(stage.workspace(ana, "to-be-erased"))
    stage.do(stage.services.workspaces.delete(ana, made))
    page = visitors.get("ana").open("/trash")
    row = page.locator(f"[data-key='{made}']")
    row.get_by_text("Erase…").click()
    row.get_by_label("Type").fill("something else")
    row.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    row.get_by_text("Erase…").click()
    row.get_by_label("Type").fill("to-be-erased")
    row.get_by_role("button", name="Erase", exact=True).click()
    expect(page.locator("[data-result]")).to_have_text("Erased.")
    expect(row).to_have_count(0)


@pytest.mark.req("S3-02")
@pytest.mark.req("S3-04")
def test_the_form_says_what_it_starts_and_its_address_holds_it(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open(f"/w/{samples.ids['forecasts']}/launch")
    page.get_by_label("Large").first.check()
    expect(page.locator("#outlook")).to_contain_text("Starts 4 CPU, 16 GiB on local; leaves you")
    page.get_by_text("Numbers of your own").click()
    page.get_by_label("Memory").fill("900g")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    expect(page.locator("#why-not")).to_contain_text("900 GiB")
    page.get_by_label("Memory").fill("6g")
    expect(page.locator("#outlook")).to_contain_text("Starts 4 CPU, 6 GiB on local")
    expect(page).to_have_url(re.compile(r"launch\?.*profile=large.*memory=6g"))
    page.get_by_text("Name and password").click()
    page.get_by_label("Name", exact=True).fill("roomy")
    page.get_by_label("Password of the session").fill("not in the address")
    expect(page.locator("#as-command")).to_have_text(
        "studiolo start ana/forecasts-2027 --name roomy --profile large --memory 6Gi"
    )
    assert "not+in" not in page.url
    page.get_by_role("button", name="Launch").click()
    page.wait_for_url(re.compile(r"/go/s-"))
    found = samples.stage.do(samples.stage.services.sessions.get(person(samples, "ana"), "forecasts-2027~roomy"))
    assert (found.profile, found.resources.cpu, found.resources.memory) == ("large", 4, 6 * 1024**3)
    again = visitors.get("ana").open(f"/w/{samples.ids['forecasts']}/launch")
    expect(again.get_by_label("Large").first).to_be_checked()
    expect(again.get_by_label("Memory")).to_have_value("6Gi")


def test_what_ran_out_of_memory_restarts_with_twice_as_much(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    session = stage.do(stage.session(ana, samples.ids["churn"], "greedy", until=SessionState.RUNNING, profile="small"))
    page = visitors.get("ana").open(f"/sessions/{session.id}")
    expect(page.get_by_role("heading", name="JupyterLab is running")).to_be_visible()
    stage.do(stage.run_out_of_memory(session))
    expect(page.get_by_role("heading", name="JupyterLab failed")).to_be_visible()
    page.get_by_role("button", name="Restart with 4 GiB").click()
    page.wait_for_url(re.compile(rf"//{session.id}\.localhost"))
    again = stage.do(stage.services.sessions.get(ana, session.id))
    assert again.resources.memory == 4 * 1024**3
    stage.do(stage.services.sessions.stop(ana, session.id))


def test_a_workspace_is_resized_and_configured(visitors: Visitors, samples: Samples) -> None:
    made = samples.stage.do(samples.stage.workspace(person(samples, "ana"), "sized"))
    page = visitors.get("ana").open(f"/w/{made}/settings")
    page.get_by_label("Profile").select_option("medium")
    page.get_by_label("Memory").fill("3g")
    page.get_by_role("button", name="Change size").click()
    expect(page.locator("#size")).to_contain_text("2 CPU, 3 GiB, by the profile medium")
    text = page.get_by_label("workspace-config.yaml")
    assert "medium" in text.input_value()
    text.fill("profile: medium\nresources:\n  memory: lots\n")
    page.get_by_role("button", name="Save file").click()
    expect(page.locator("#faults")).to_contain_text("Line 3, column 11: resources.memory")
    assert "lots" in text.input_value()
    text.fill("profile: small\n")
    page.get_by_role("button", name="Save file").click()
    expect(page.locator("#size")).to_contain_text("1 CPU, 2 GiB")
    page.get_by_label("Disk").fill("5 GiB")
    page.get_by_role("button", name="Change size").click()
    expect(page.locator("#size")).to_contain_text("1 CPU, 2 GiB, 5 GiB disk")


def test_a_workspace_is_copied_and_handed_over_and_old_addresses_lead_on(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    made = stage.do(stage.workspace(ana, "first-name"))
    stage.do(stage.services.members.set_member(ana, made, MemberSet(person="leo", role=Role.EDITOR)))
    page = visitors.get("ana").open(f"/w/{made}/settings")
    page.get_by_label("Name of the copy").fill("first-copy")
    page.get_by_role("button", name="Duplicate").click()
    expect(page.get_by_role("heading", name="first-copy")).to_be_visible()
    page = visitors.get("ana").open(f"/w/{made}/settings")
    page.get_by_label("Name", exact=True).fill("second-name")
    page.get_by_role("button", name="Save", exact=True).click()
    page = visitors.get("ana").open("/w/ana~first-name/people")
    expect(page).to_have_url(re.compile(f"/w/{made}/people$"))
    page = visitors.get("ana").open(f"/w/{made}/settings")
    page.get_by_label("New owner").select_option("Leo Brandt")
    page.get_by_role("button", name="Hand over").click()
    expect(page.locator("#workspace-head")).to_contain_text("Leo Brandt")


@pytest.mark.req("S0-121")
def test_caches_of_a_workspace_are_cleared_on_its_settings(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    made = stage.do(stage.workspace(ana, "with-caches"))
    cache = stage.services.settings.data_dir / "people" / ana.person_id / made / "cache" / "uv"
    cache.mkdir(parents=True)
    page = visitors.get("ana").open(f"/w/{made}/settings")
    page.get_by_role("button", name="Clear caches").click()
    expect(page.get_by_role("status")).to_contain_text("Space was released.")
    assert not cache.exists()


def test_a_program_is_signed_in_by_its_code(visitors: Visitors, samples: Samples) -> None:
    stage = samples.stage
    begun = stage.do(stage.services.devices.begin(DeviceStart(key_name="batch node"), "10.1.1.1"))
    page = visitors.new(None).open(begun.verification_uri_complete.removeprefix(stage.address))
    page.fill("#name", "leo")
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("main")).to_contain_text("batch node")
    expect(page.locator("main")).to_contain_text("10.1.1.1")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="Approved")).to_be_visible()
    key = stage.do(stage.services.devices.poll(DevicePoll(device_code=begun.device_code)))
    assert key.name == "batch node"


def test_an_administrator_stops_a_session_with_a_note(visitors: Visitors, samples: Samples) -> None:
    stage, ana = samples.stage, person(samples, "ana")
    session = stage.do(stage.session(ana, samples.ids["churn"], "left-alone", until=SessionState.RUNNING))
    page = visitors.get("mia").open("/admin/sessions")
    row = page.locator(f"[data-key='{session.id}']")
    row.get_by_text("Stop…").click()
    row.get_by_label("Note to Ana Ruiz").fill("the node needs new memory")
    row.get_by_role("button", name="Stop", exact=True).click()
    expect(row).to_have_count(0, timeout=10000)
    mine = visitors.get("ana").open(f"/sessions/{session.id}")
    expect(mine.locator("#stage")).to_contain_text("Stopped by Mia Okonkwo: the node needs new memory.")


def test_a_key_is_shown_once(visitors: Visitors) -> None:
    page = visitors.get("ana").open("/account")
    page.get_by_text("New key", exact=True).click()
    page.locator("#keys #name").fill("cluster")
    page.get_by_role("button", name="Make key").click()
    key = page.locator("#new-key").inner_text()
    assert key.startswith("sto_")
    page.reload()
    expect(page.get_by_text(key)).to_have_count(0)
    page.get_by_role("button", name="Revoke cluster").click()
    expect(page.locator("[data-result]")).to_have_text("Revoked.")


def test_an_invitation_is_made_and_used(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("mia").open("/admin/people")
    page.fill("#to", "zoe@example.com")
    page.fill("#workspace", "ana/churn")
    page.select_option("#role", "viewer")
    page.get_by_role("button", name="Invite", exact=True).click()
    text = page.locator("#invitation").inner_text()
    assert "can read everyone's files" in text
    expect(page.locator("#invited")).to_contain_text("zoe@example.com")
    link = re.search(r"http\S+/join\?\S+", text)
    assert link is not None
    newcomer = visitors.new(None).open(link[0].removeprefix(samples.stage.address))
    expect(newcomer.locator("#name")).to_have_value("zoe")
    newcomer.fill("#display_name", "Zoe Lind")
    newcomer.fill("#password", "short")
    newcomer.get_by_role("button", name="Join").click()
    expect(newcomer.get_by_role("alert")).to_contain_text("too weak")
    newcomer.fill("#password", PASSWORD)
    newcomer.get_by_role("button", name="Join").click()
    expect(newcomer).to_have_url(re.compile(f"/w/{samples.ids['churn']}$"))
    again = visitors.new(None).open(link[0].removeprefix(samples.stage.address))
    expect(again.get_by_role("alert")).to_contain_text("was used or withdrawn")


def test_a_person_is_suspended_and_let_back_in_and_their_page_closes(visitors: Visitors, samples: Samples) -> None:
    samples.stage.do(samples.stage.add("per", "Per Holm"))
    theirs = visitors.new("per").open("/")
    page = visitors.get("mia").open("/admin/people?q=per+holm")
    page.get_by_role("link", name="Per Holm").click()
    page.get_by_role("button", name="Suspend").click()
    expect(page.locator("[data-result]")).to_contain_text("Suspended.")
    expect(theirs).to_have_url(re.compile("/sign-in"))
    page.get_by_role("button", name="Let back in").click()
    expect(page.locator("[data-result]")).to_contain_text("Let back in.")
    assert visitors.new("per").open("/").url == samples.stage.address + "/"


def test_a_banner_appears_on_open_pages_and_goes(visitors: Visitors) -> None:
    theirs = visitors.new("leo").open("/workspaces")
    page = visitors.get("mia").open("/admin/banner")
    page.fill("#text", "Restart at noon")
    page.get_by_role("button", name="Post").click()
    expect(theirs.locator("#banner")).to_contain_text("Restart at noon")
    page.get_by_role("button", name="Take down").click()
    expect(theirs.locator("#banner")).not_to_contain_text("Restart at noon")


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
