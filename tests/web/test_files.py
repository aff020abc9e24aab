"""Files of a workspace on its page: looked at, found, changed and brought in, in a real browser behind a real front door."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from web.conftest import Visitor, Visitors
from web.files_stage import FilesStage, fill
from web.test_every_page import violations


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesStage]:
    with FilesStage(tmp_path_factory.mktemp("files")) as made:
        yield made


@pytest.fixture(scope="module")
def guests(chromium: Browser, stage: FilesStage) -> Visitors:
    return Visitors(chromium, stage)


@pytest.fixture
def ana(guests: Visitors, stage: FilesStage) -> Visitor:
    for there in stage.folder.iterdir():
        if there.name != ".studiolo":
            shutil.rmtree(there) if there.is_dir() else there.unlink()
    fill(stage.folder)
    return guests.get("ana")


def names(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".files-table td.main a").all_inner_texts()]


def at(stage: FilesStage, path: str = "") -> str:
    return f"/w/{stage.workspace}" + (f"/files/{path}" if path else "")


def test_a_workspace_shows_its_files_first_folders_on_top(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage))
    assert names(page) == ["data", "Überblick 数据", "survival by plan.ipynb", "train.py"]
    page.get_by_role("link", name="data", exact=True).click()
    expect(page.locator(".crumbs-of-files")).to_contain_text(re.compile(r"churn\s*/\s*data"))
    assert names(page) == ["raw data", "customers.csv", "notes & more.md"]
    page.goto(stage.address + at(stage) + "?filter=TRAIN")
    assert names(page) == ["train.py"]
    assert violations(page) == []
    assert ana.complaints == []
    page.close()


def test_a_notebook_is_seen_in_a_frame_without_rights(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage, "survival%20by%20plan.ipynb"))
    frame = page.frame_locator("iframe.preview")
    expect(frame.get_by_role("heading", name="Survival")).to_be_visible()
    expect(frame.locator(".highlight").first).to_contain_text("import pandas as pd")
    (inner,) = [frame for frame in page.frames if "/preview/" in frame.url]
    assert inner.evaluate("self.origin") == "null"
    expect(page.get_by_role("link", name="Open here")).to_have_attribute(
        "href", "/w/ana/churn/lab/tree/survival%20by%20plan.ipynb"
    )
    assert violations(page) == []
    assert ana.complaints == []
    page.close()


def test_a_search_finds_cells_and_leads_to_their_file(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage))
    page.get_by_label("Search names and cells").fill("read_csv cust")
    page.get_by_role("button", name="Search", exact=True).click()
    hit = page.locator(".hits li", has_text="survival by plan.ipynb")
    for _ in range(40):
        if hit.count():
            break
        # The first look at all files may take longer than an answer waits.
        page.wait_for_timeout(500)
        page.reload()
    expect(hit).to_contain_text("cell 2, line 3")
    assert hit.locator("mark").all_inner_texts() == ["customers", "read_csv", "customers"]
    hit.get_by_role("link").click()
    expect(page.locator("iframe.preview")).to_be_visible()
    page.close()


def test_the_palette_finds_files_of_the_workspace_that_one_is_in(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage, "data"))
    found = page.locator("#palette-found a", has_text="train.py")
    for _ in range(40):
        page.keyboard.press("Control+k")
        page.locator("#palette input").fill("train")
        page.wait_for_timeout(800)
        if found.count():
            break
        page.keyboard.press("Escape")
    found.first.click()
    expect(page).to_have_url(re.compile(r"/files/train.py$"))
    page.close()


def test_a_folder_is_made_and_a_file_renamed_into_it_and_copied(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage))
    page.locator("summary", has_text="New folder").click()
    page.get_by_label("Name", exact=True).fill("new one")
    page.get_by_role("button", name="Make folder").click()
    expect(page).to_have_url(re.compile(r"/files/new%20one"))
    page.goto(stage.address + at(stage, "train.py"))
    page.get_by_text("Rename, move or copy").click()
    page.get_by_label("New path").fill("new one/fit.py")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page).to_have_url(re.compile(r"/files/new%20one/fit.py"))
    page.get_by_text("Rename, move or copy").click()
    page.get_by_label("New path").fill("train.py")
    page.get_by_role("button", name="Move", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("already")
    assert (stage.folder / "new one" / "fit.py").read_text() == (stage.folder / "train.py").read_text()
    page.close()


def test_what_is_deleted_comes_back_by_undo(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage))
    for name in ("data", "train.py"):
        page.get_by_label(f"Choose {name}", exact=True).check()
    page.get_by_role("button", name="Delete 2").click()
    expect(page.get_by_role("status").first).to_contain_text("Deleted")
    assert names(page) == ["Überblick 数据", "survival by plan.ipynb"]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").first).to_contain_text("Restored")
    assert names(page) == ["data", "Überblick 数据", "survival by plan.ipynb", "train.py"]
    page.close()


def test_files_are_uploaded_in_pieces_with_progress_and_after_a_break_go_on(
    ana: Visitor, stage: FilesStage, tmp_path: Path
) -> None:
    big = tmp_path / "big file.bin"
    big.write_bytes(bytes(range(256)) * 80_000)
    page = ana.open(at(stage, "data"))
    broken = []

    def break_once(route) -> None:  # type: ignore[no-untyped-def]
        if route.request.method == "PATCH" and len(broken) < 1 and route.request.headers["upload-offset"] != "0":
            broken.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route("**/files/*/uploads/*", break_once)
    page.locator("summary", has_text="Upload").click()
    page.locator("input[data-upload]").first.set_input_files([big, Path(__file__)])
    expect(page.get_by_role("link", name="big file.bin")).to_be_visible()
    expect(page.get_by_role("link", name="test_files.py")).to_be_visible()
    assert broken
    assert (stage.folder / "data" / "big file.bin").read_bytes() == big.read_bytes()
    page.close()


def test_an_upload_goes_on_in_a_later_page_where_the_first_one_was_left(
    ana: Visitor, stage: FilesStage, tmp_path: Path
) -> None:
    big = tmp_path / "left.bin"
    big.write_bytes(bytes(range(256)) * 80_000)
    page = ana.open(at(stage))
    page.route("**/files/*/uploads/*", lambda route: route.continue_() if is_first(route.request) else None)
    page.locator("summary", has_text="Upload").click()
    with page.expect_request(lambda request: request.method == "PATCH" and not is_first(request)):
        page.locator("input[data-upload]").first.set_input_files(big)
    page.reload()
    page.unroute_all(behavior="ignoreErrors")
    page.locator("summary", has_text="Upload").click()
    with page.expect_request(lambda request: request.method == "PATCH") as sent:
        page.locator("input[data-upload]").first.set_input_files(big)
    assert not is_first(sent.value)
    expect(page.get_by_role("link", name="left.bin")).to_be_visible()
    assert (stage.folder / "left.bin").read_bytes() == big.read_bytes()
    page.close()


def is_first(request: Request) -> bool:
    return request.headers.get("upload-offset") == "0"


def test_a_refused_upload_says_why_and_nothing_is_overwritten_unasked(
    ana: Visitor, stage: FilesStage, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("other")
    page = ana.open(at(stage))
    page.locator("summary", has_text="Upload").click()
    page.locator("input[data-upload]").first.set_input_files(tmp_path / "train.py")
    expect(page.locator("[data-uploads]")).to_contain_text("already")
    assert "def main" in (stage.folder / "train.py").read_text()
    with page.expect_navigation():
        page.get_by_role("button", name="Replace").click()
    assert (stage.folder / "train.py").read_text() == "other"
    page.goto(stage.address + at(stage) + "/history?path=train.py")
    expect(page.get_by_role("table")).to_contain_text("written outside JupyterLab")
    page.close()


def test_dropped_files_are_uploaded_to_the_folder_that_is_shown(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage, "data"))
    page.evaluate(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["dropped"], "dropped.txt"));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }"""
    )
    expect(page.get_by_role("link", name="dropped.txt")).to_be_visible()
    assert (stage.folder / "data" / "dropped.txt").read_text() == "dropped"
    page.close()


def test_a_new_notebook_is_made_and_shown(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage, "data"))
    page.get_by_role("button", name="New notebook").click()
    expect(page).to_have_url(re.compile(r"/files/data/Untitled.ipynb$"))
    assert '"nbformat": 4' in (stage.folder / "data" / "Untitled.ipynb").read_text()
    page.close()


def test_chosen_files_come_as_one_archive(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage))
    page.get_by_label("Choose data", exact=True).check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download 1").click()
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"
    page.close()


def test_a_viewer_sees_the_same_and_is_told_whom_to_ask(ana: Visitor, guests: Visitors, stage: FilesStage) -> None:
    page = guests.get("leo").open(at(stage))
    assert names(page) == ["data", "Überblick 数据", "survival by plan.ipynb", "train.py"]
    expect(page.get_by_text("Ask Ana Ruiz for editor to change files.")).to_be_visible()
    for word in ("New notebook", "New folder", "Upload", "Delete chosen"):
        expect(page.get_by_text(word, exact=True)).to_have_count(0)
    token = page.locator("input[name=csrf]").first.input_value()
    answer = guests.get("leo").post(f"/w/{stage.workspace}/delete-files", csrf=token, path="train.py")
    assert answer == 403
    assert (stage.folder / "train.py").exists()
    page.close()


def test_forms_do_the_same_without_scripts(ana: Visitor, chromium: Browser, stage: FilesStage) -> None:
    visitor = Visitors(chromium, stage).new("ana", java_script_enabled=False)
    page = visitor.open(at(stage))
    page.get_by_label("Choose train.py").check()
    page.get_by_role("button", name="Delete chosen").click()
    assert "train.py" not in names(page)
    page.get_by_role("button", name="Undo").click()
    assert "train.py" in names(page)
    page.close()


def test_a_phone_scrolls_down_only(ana: Visitor, guests: Visitors, stage: FilesStage) -> None:
    visitor = guests.get("ana", "phone")
    for path in ("", "data", "survival%20by%20plan.ipynb"):
        page = visitor.open(at(stage, path))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator(".filled:visible").count() <= 1
        page.close()


def test_what_is_not_there_is_a_page_that_says_so(ana: Visitor, stage: FilesStage) -> None:
    page = ana.open(at(stage, "nothing/here.txt"))
    expect(page.get_by_role("heading", name="Nothing here that you can see.")).to_be_visible()
    page.close()


def test_an_administrator_who_is_no_member_sees_sessions_instead_of_files(guests: Visitors, stage: FilesStage) -> None:
    stage.do(stage.add("mia", "Mia Okonkwo", is_admin=True))
    page = guests.get("mia").open(at(stage))
    expect(page).to_have_url(re.compile(f"/w/{stage.workspace}/sessions$"))
    page.goto(stage.address + at(stage, "train.py"))
    expect(page).to_have_url(re.compile(f"/w/{stage.workspace}/sessions$"))
    page.close()


def test_a_folder_named_lab_is_no_jupyterlab_and_names_lead_to_ids(ana: Visitor, stage: FilesStage) -> None:
    (stage.folder / "lab" / "tree").mkdir(parents=True)
    page = ana.open(at(stage, "lab/tree"))
    expect(page.locator(".crumbs-of-files")).to_contain_text("tree")
    page.goto(stage.address + "/w/churn/files/data")
    expect(page).to_have_url(re.compile(f"/w/{stage.workspace}/files/data$"))
    page.close()
