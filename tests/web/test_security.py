"""A scan on its page: asked for, seen as it goes, its findings accepted and opened again."""

import re

import pytest
from playwright.sync_api import expect

from web.conftest import Visitors
from web.stage import Samples

pytestmark = pytest.mark.browser
PATIENCE = 60_000


@pytest.mark.req("S0-88")
def test_a_person_scans_a_workspace_and_accepts_what_is_found(visitors: Visitors, samples: Samples) -> None:
    stage = samples.stage
    workspace = stage.do(stage.workspace(stage.do(stage.add("sana", "Sana Qureshi")), "scanned"))
    visitor = visitors.get("sana")
    page = visitor.open(f"/w/{workspace}/security")
    expect(page.get_by_text("Not scanned yet.")).to_be_visible()
    page.get_by_role("button", name="Scan").click()
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("Not known to be clean. 1 finding: 1 medium", timeout=PATIENCE)
    expect(page.get_by_text("so the package policy is advisory here")).to_be_visible()
    page.get_by_text("Accept…").click()
    page.get_by_label("Why is it all right?").fill("Looked at by hand")
    page.get_by_role("button", name="Accept", exact=True).click()
    expect(verdict).to_contain_text("Nothing was found that needs you; 1 accepted.", timeout=PATIENCE)
    page.get_by_role("button", name=re.compile("Open again")).click()
    expect(verdict).to_contain_text("Not known to be clean.", timeout=PATIENCE)
    with page.expect_download() as download:
        page.get_by_role("link", name="SARIF").click()
    assert download.value.suggested_filename.endswith(".sarif")
    assert visitor.complaints == []


def test_what_the_guard_refused_stands_beside_the_scan(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open(f"/w/{samples.ids['churn']}/security")
    row = page.get_by_role("table", name="Refused to notebooks").locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("os.system")
    expect(row).to_contain_text("ana")
