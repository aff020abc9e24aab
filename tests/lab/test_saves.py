"""Two people save one notebook: the second is asked, sees both, and nothing is lost."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from lab.conftest import Lab, cell
from studiolo.runtime.history.versions import Versions
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


def sources(file: Path) -> list[str]:
    """The sources in the file."""
    return ["".join(cell["source"]) for cell in json.loads(file.read_text())["cells"]]


def kept(lab: Lab, file: Path) -> list[str]:
    """The first cell of each kept version."""
    versions = Versions(lab.folder)
    texts = [versions.read(version) for version in versions.list_(file.name)]
    return ["".join(json.loads(text)["cells"][0]["source"]) for text in texts]


def conflict(lab: Lab, name: str) -> tuple[Path, Page]:
    """Have Leo save while Ana types; return with her asked."""
    file = lab.write(name, "'first'")
    page = lab.open(name)
    cell(page, 0).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("'of ana'")
    theirs = json.loads(file.read_text())
    theirs["cells"][0]["source"] = "'of leo'"
    file.write_text(json.dumps(theirs))
    page.keyboard.press("Control+s")
    expect(page.get_by_text(f"{name} was changed by somebody else")).to_be_visible()
    return file, page


def test_who_keeps_theirs_finds_the_other_s_among_the_versions(lab: Lab) -> None:
    file, page = conflict(lab, "mine.ipynb")
    assert sources(file) == ["'of leo'"]
    page.get_by_role("button", name="Keep Mine").click()
    wait_for(lambda: sources(file) == ["'of ana'"], "Ana's is saved")
    assert "'of leo'" in kept(lab, file)
    # The next save is no conflict any more.
    cell(page, 0).locator(".jp-InputArea-editor").click()
    page.keyboard.press("End")
    page.keyboard.type(" + '!'")
    page.keyboard.press("Control+s")
    wait_for(lambda: "'!'" in sources(file)[0], "the next save")
    expect(page.get_by_text("was changed by somebody else")).to_have_count(0)


def test_who_takes_the_other_s_finds_theirs_among_the_versions(lab: Lab) -> None:
    file, page = conflict(lab, "theirs.ipynb")
    page.get_by_role("button", name="Take Theirs").click()
    expect(cell(page, 0)).to_contain_text("'of leo'")
    assert sources(file) == ["'of leo'"]
    wait_for(lambda: "'of ana'" in kept(lab, file), "Ana's is kept")
