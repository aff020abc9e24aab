"""What a file was, on its page: seen, compared and brought back in a real browser."""

import json
import re

from playwright.sync_api import Page, expect

from studiolo.runtime.history.trash import Trash
from studiolo.runtime.history.versions import Versions
from web.conftest import Visitor, Visitors
from web.files_stage import FilesStage
from web.test_every_page import violations
from web.test_files import ana, guests, stage

__all__ = ["ana", "guests", "stage"]

NOTEBOOK = "data/model.ipynb"


def content(*sources: str) -> bytes:
    cells = [
        {"cell_type": "code", "id": f"c{n}", "execution_count": None, "outputs": [], "metadata": {}, "source": source}
        for n, source in enumerate(sources)
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


OLD = content("import pandas as pd", "model = fit(rate=0.1)\nprint(model)", "x = 'to be removed'" * 20)
NEW = content("import pandas as pd", "model = fit(rate=0.2)\nprint(model)")


def is_as_wide_as_the_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_person_sees_what_changed_and_restores_it(ana: Visitor, guests: Visitors, stage: FilesStage) -> None:
    versions = Versions(stage.folder)
    for kept, how in ((OLD, "session"), (content("never written"), "conflict"), (NEW, "session")):
        versions.keep(NOTEBOOK, kept, by="", how=how)
    (stage.folder / NOTEBOOK).write_bytes(NEW)
    page = ana.open(f"/w/{stage.workspace}/files/{NOTEBOOK}")
    page.get_by_role("link", name="Versions").click()
    expect(page.get_by_text("not saved: the file had changed meanwhile")).to_be_visible()
    page.get_by_role("row").filter(has_text="saved").last.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("article", name="Cell 2, changed")).to_contain_text(" model = fit(rate=0.1)")
    expect(page.get_by_role("article", name="Cell 2, changed")).to_contain_text("+ model = fit(rate=0.2)")
    expect(page.get_by_role("article", name="Cell 3, removed")).to_be_visible()
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, "color-contrast") == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert is_as_wide_as_the_window(page)
    page.get_by_role("button", name="Restore this version").click()
    expect(page.get_by_text("Restored.", exact=True)).to_be_visible()
    assert (stage.folder / NOTEBOOK).read_bytes() == OLD
    assert ana.complaints == []


def test_a_viewer_sees_deleted_files_and_an_editor_brings_them_back(
    ana: Visitor, guests: Visitors, stage: FilesStage
) -> None:
    Trash(stage.folder).discard("train.py", by="")
    leo = guests.get("leo").open(f"/w/{stage.workspace}/file-trash")
    expect(leo.get_by_role("row").filter(has_text="train.py")).to_be_visible()
    expect(leo.get_by_role("button", name=re.compile("Restore"))).to_have_count(0)
    page = ana.open(f"/w/{stage.workspace}")
    page.get_by_role("link", name="Deleted files").click()
    assert violations(page) == []
    page.get_by_role("row").filter(has_text="train.py").get_by_role("button", name="Restore").click()
    expect(page.get_by_text("Restored.", exact=True)).to_be_visible()
    assert (stage.folder / "train.py").exists()
