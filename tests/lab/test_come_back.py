"""Close the tab, come back tomorrow: notebooks show what cells wrote for somebody else, or for nobody."""

import json

import pytest
from playwright.sync_api import Page, expect

from lab.conftest import Lab, cell, output, run, saved, shown
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

# Prints its lines, half of them when the test lets it go on (Lab.let_go), then has the result 'end'.
SLOW = """
import pathlib, time
for n in range(20):
    print('line', n, flush=True)
    time.sleep(0.02)
    while n == 9 and not pathlib.Path('go').exists():
        time.sleep(0.02)
'e' 'nd'
"""
LINES = [f"line {n}" for n in range(20)]


def lines(page: Page) -> list[str]:
    """The lines that the first cell shows, without its result."""
    return [line for line in output(page, 0).splitlines() if line.startswith("line")]


def text_of(outputs: list[dict[str, object]]) -> str:
    """The text of a cell's streams."""
    return "".join("".join(out["text"]) for out in outputs if out["output_type"] == "stream")  # type: ignore[arg-type]


def test_a_tab_closed_in_mid_run_loses_nothing(lab: Lab) -> None:
    file = lab.write("close.ipynb", SLOW, "n")
    page = lab.open("close.ipynb")
    run(page, 0)
    expect(shown(page, 0)).to_contain_text("line 9")
    page.context.close()

    page = lab.open("close.ipynb")
    expect(page.get_by_text("Output from while you were away was added to 1 cell of close.ipynb.")).to_be_visible()
    expect(cell(page, 0).locator(".jp-InputPrompt")).to_have_text("[*]:")
    assert lines(page) == LINES[:10]
    lab.let_go()
    expect(shown(page, 0)).to_contain_text("'end'")
    assert lines(page) == LINES
    expect(cell(page, 0).locator(".jp-InputPrompt")).to_have_text("[1]:")
    run(page, 1)
    expect(shown(page, 1)).to_contain_text("19")
    page.keyboard.press("Control+s")
    wait_for(lambda: text_of(saved(file)[0]).splitlines() == LINES, "the file has each line once")
    assert [len(outputs) for outputs in saved(file)] == [2, 1]


def test_two_browsers_show_a_run_once_each(lab: Lab) -> None:
    lab.write("two.ipynb", SLOW)
    first, second = lab.open("two.ipynb"), lab.open("two.ipynb")
    run(first, 0)
    expect(shown(second, 0)).to_contain_text("line 9")
    lab.let_go()
    for page in (first, second):
        expect(shown(page, 0)).to_contain_text("'end'")
        assert lines(page) == LINES
        expect(cell(page, 0).locator(".jp-InputPrompt")).to_have_text("[1]:")


def test_a_reload_in_mid_run_shows_all_that_was_put_out(lab: Lab) -> None:
    lab.write("reload.ipynb", SLOW)
    page = lab.open("reload.ipynb")
    run(page, 0)
    expect(shown(page, 0)).to_contain_text("line 9")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(shown(page, 0)).to_contain_text("line 9", timeout=30_000)
    lab.let_go()
    expect(shown(page, 0)).to_contain_text("'end'")
    assert lines(page) == LINES


def test_a_network_that_fails_in_mid_run_loses_and_doubles_nothing(lab: Lab) -> None:
    lab.write("cut.ipynb", SLOW)
    first, second = lab.open("cut.ipynb"), lab.open("cut.ipynb")
    run(first, 0)
    expect(shown(first, 0)).to_contain_text("line 9")
    lab.front.cut()
    lab.let_go()
    for page in (first, second):
        expect(shown(page, 0)).to_contain_text("'end'", timeout=40_000)
        assert lines(page) == LINES


EVERY_KIND = """
import pathlib, sys, time

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.02)

from IPython.display import HTML, clear_output, display
handle = display('first', display_id=True)
print('gone'); clear_output(); handle = display('bar 0', display_id=True)
handle.update('bar 1')
wait_for('go')
handle.update('bar 2')
print('to stderr', file=sys.stderr, flush=True)
print('waits'); sys.stdout.flush(); clear_output(wait=True)
wait_for('go2')
display(HTML('<b id=\"bold\">bold</b><script>document.title = 1</script>'))
print(' 10%\\r100%')
raise ValueError('in the end')
"""


def test_every_kind_of_output_comes_back_as_if_seen(lab: Lab) -> None:
    lab.write("kinds.ipynb", EVERY_KIND)
    page = lab.open("kinds.ipynb")
    run(page, 0)
    expect(shown(page, 0)).to_contain_text("bar 1")
    page.context.close()
    second = lab.open("kinds.ipynb")
    expect(shown(second, 0)).to_contain_text("bar 1")
    lab.let_go()
    expect(shown(second, 0)).to_contain_text("bar 2")
    expect(shown(second, 0)).to_contain_text("waits")
    third = lab.open("kinds.ipynb")
    lab.let_go("go2")
    for page in (second, third):
        expect(shown(page, 0)).to_contain_text("ValueError: in the end", timeout=20_000)
        texts = output(page, 0).splitlines()
        assert not {"first", "gone", "'bar 2'", "to stderr", "waits"}.intersection(texts)
        assert "100%" in texts
        expect(cell(page, 0).locator("#bold")).to_have_text("bold")


def test_what_somebody_took_out_and_saved_stays_out(lab: Lab) -> None:
    file = lab.write("cleared.ipynb", "print('seen')")
    page = lab.open("cleared.ipynb")
    run(page, 0)
    expect(shown(page, 0)).to_contain_text("seen")
    page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.get_by_role("menuitem", name="Clear Cell Output").click()
    page.keyboard.press("Control+s")
    wait_for(lambda: "studiolo" in file.read_text() or '"ipython"' in file.read_text(), "it is saved")
    page.context.close()
    page = lab.open("cleared.ipynb")
    page.wait_for_function("performance.getEntriesByType('resource').some(entry => entry.name.includes('/cells'))")
    expect(shown(page, 0)).to_have_text("")


def test_a_cell_that_was_changed_keeps_its_source(lab: Lab) -> None:
    lab.write("changed.ipynb", SLOW)
    first, second = lab.open("changed.ipynb"), lab.open("changed.ipynb")
    cell(second, 0).locator(".jp-InputArea-editor").click()
    second.keyboard.press("Control+End")
    second.keyboard.type("  # mine")
    lab.let_go()
    run(first, 0)
    expect(shown(second, 0)).to_contain_text("line 19")
    expect(cell(second, 0).locator(".jp-InputArea-editor")).to_contain_text("'nd'  # mine")


def test_running_a_cell_here_puts_an_end_to_what_came_from_elsewhere(lab: Lab) -> None:
    lab.write("both.ipynb", SLOW)
    first, second = lab.open("both.ipynb"), lab.open("both.ipynb")
    run(first, 0)
    expect(shown(second, 0)).to_contain_text("line 9")
    run(second, 0)
    lab.let_go()
    for page in (second, first):
        expect(cell(page, 0).locator(".jp-InputPrompt")).to_have_text("[2]:", timeout=30_000)
        assert lines(page) == LINES


def test_a_restart_ends_a_run_that_was_shown_for_somebody_else(lab: Lab) -> None:
    lab.write("restart.ipynb", SLOW)
    first, second = lab.open("restart.ipynb"), lab.open("restart.ipynb")
    run(first, 0)
    expect(cell(second, 0).locator(".jp-InputPrompt")).to_have_text("[*]:")
    (kernel,) = lab.kernels()
    assert lab.ask("POST", f"kernels/{kernel['id']}/restart").is_success
    expect(cell(second, 0).locator(".jp-InputPrompt")).not_to_have_text("[*]:")
    third = lab.open("restart.ipynb")
    expect(shown(third, 0)).to_contain_text("line 0")
    expect(cell(third, 0).locator(".jp-InputPrompt")).not_to_have_text("[*]:")


@pytest.mark.req("S1-06", "S1-09")
def test_a_run_notes_environment_and_size_in_the_notebook(lab: Lab) -> None:
    file = lab.write("noted.ipynb", "1 + 1")
    page = lab.open("noted.ipynb")
    run(page, 0)
    expect(shown(page, 0)).to_contain_text("2")
    page.keyboard.press("Control+s")
    wait_for(lambda: "studiolo" in file.read_text(), "the notebook says what it ran with")
    saved(file)
    noted = json.loads(file.read_text())["metadata"]["studiolo"]
    assert len(noted["environment"]["hash"]) >= 12
    assert noted["kernel"] == "python3"


def test_output_that_the_host_wrote_is_trusted_as_if_seen(lab: Lab) -> None:
    file = lab.write("trust.ipynb", SLOW + "from IPython.display import HTML\nHTML('<b id=b onclick=\"1\">bold</b>')")
    page = lab.open("trust.ipynb")
    run(page, 0)
    expect(shown(page, 0)).to_contain_text("line 9")
    page.context.close()
    lab.let_go()
    (kernel,) = lab.kernels()
    wait_for(lambda: lab.ask("POST", f"kernels/{kernel['id']}/notebook").is_success, "nobody is connected")
    wait_for(
        lambda: lab.ask("POST", f"kernels/{kernel['id']}/notebook").is_success and "bold" in str(saved(file)),
        "the file has the end",
    )
    page = lab.open("trust.ipynb")
    # JupyterLab takes out what could act where it does not trust a cell.
    expect(shown(page, 0).locator("#b")).to_have_attribute("onclick", "1")
    assert lines(page) == LINES
