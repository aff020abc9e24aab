"""Notebooks of every kind that the format knows pass through a real session unchanged."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from playwright.sync_api import Browser, expect

from e2e.conftest import Platform
from e2e.kernels import channels, execute, start_kernel
from e2e.test_main_job import open_notebook, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

S = "/api/v1/jupyter/sessions"


class Files:
    """The contents of a running session, as JupyterLab reads and writes them."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self.client = client
        self.base = f"/s/{session}"

    def save(self, name: str, content: dict[str, Any]) -> None:
        body = {"type": "notebook", "format": "json", "content": content}
        reply = self.client.put(f"{self.base}/api/contents/{name}", json=body)
        assert reply.status_code in (200, 201), reply.text

    def load(self, name: str) -> dict[str, Any]:
        reply = self.client.get(f"{self.base}/api/contents/{name}", params={"content": 1})
        assert reply.status_code == 200, reply.text
        content: dict[str, Any] = reply.json()["content"]
        return content


@pytest.fixture(scope="module")
def files(platform: Platform) -> Iterator[Files]:
    client = platform.client()
    client.post("/api/v1/jupyter/workspaces", json={"name": "notebook-format"})
    made = client.post(S, json={"workspace": "notebook-format"}, params={"wait": 60}).json()
    yield Files(client, made["id"])
    client.post(f"{S}/{made['id']}/stop", params={"wait": 60})


def _through(files: Files, notebook: Any, name: str = "n.ipynb") -> Any:
    """Save a notebook, load it, and return what came back; it must be valid and of the same meaning."""
    plain = nbformat.from_dict(notebook)
    nbformat.validate(plain)
    files.save(name, plain)
    back = nbformat.from_dict(files.load(name))
    nbformat.validate(back)
    return back


@pytest.mark.req("S4-03", "S4-04", "S4-07")
def test_the_smallest_notebook_is_kept(files: Files) -> None:
    back = _through(files, {"metadata": {}, "nbformat": 4, "nbformat_minor": 0, "cells": []})
    assert (back.nbformat, back.nbformat_minor, back.cells) == (4, 0, [])


@pytest.mark.req("S4-05", "S4-06", "S4-18", "S4-25")
def test_metadata_of_a_notebook_is_kept(files: Files) -> None:
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python", "version": "3.11", "codemirror_mode": {"name": "ipython", "version": 3}},
        "kernel_info": {"name": "python3"},
        "authors": [{"name": "Ana Ruiz"}, {"name": "Leo", "email": "leo@example.com"}],
        "jupyter": {"source_hidden": False},
        "studiolo": {"environment": "e-1"},
    }
    back = _through(files, new_notebook(metadata=metadata))
    assert {name: back.metadata[name] for name in metadata} == metadata


@pytest.mark.req("S4-08", "S4-09", "S4-10", "S4-11", "S4-20", "S4-22", "S4-24")
def test_cells_and_their_metadata_are_kept(files: Files) -> None:
    cells = [
        new_markdown_cell("# Title\nand text", metadata={"tags": ["intro", "long"], "name": "title"}),
        new_code_cell("x = 1\nx", execution_count=3, metadata={"collapsed": True, "scrolled": "auto"}),
        new_code_cell("y", execution_count=None, metadata={"scrolled": False, "deletable": False, "name": "kept"}),
        new_raw_cell("\\LaTeX", metadata={"format": "text/latex"}),
    ]
    # A source may be one text or a list of lines.
    as_lines = new_notebook(cells=cells)
    as_lines.cells[0].source = ["# Title\n", "and text"]
    back = _through(files, as_lines)
    assert ["".join(cell.source) for cell in back.cells] == ["# Title\nand text", "x = 1\nx", "y", "\\LaTeX"]
    assert [cell.cell_type for cell in back.cells] == ["markdown", "code", "code", "raw"]
    assert [cell.get("execution_count") for cell in back.cells[1:3]] == [3, None]
    for sent, kept in zip(cells, back.cells, strict=True):
        assert {name: kept.metadata[name] for name in sent.metadata} == sent.metadata


@pytest.mark.req("S4-12", "S4-13", "S4-14", "S4-15", "S4-16")
def test_outputs_of_every_kind_are_kept(files: Files) -> None:
    rich = {
        "text/plain": "a table",
        "text/html": "<b>a table</b>",
        "image/png": "aGVsbG8=",
        "application/json": {"n": 1},
    }
    outputs = [
        new_output("stream", name="stderr", text="careful\n"),
        new_output("display_data", data=rich, metadata={"image/png": {"width": 640}}),
        new_output("execute_result", data={"text/plain": "42"}, execution_count=1),
        new_output("error", ename="ValueError", evalue="no", traceback=["line 1", "line 2"]),
    ]
    back = _through(files, new_notebook(cells=[new_code_cell("run()", outputs=outputs, execution_count=1)]))
    kept = back.cells[0].outputs
    assert [output.output_type for output in kept] == ["stream", "display_data", "execute_result", "error"]
    assert (kept[0].name, "".join(kept[0].text)) == ("stderr", "careful\n")
    assert {kind: kept[1].data[kind] for kind in rich} == rich
    assert kept[1].metadata["image/png"]["width"] == 640
    assert kept[2].data["text/plain"] == "42"
    assert (kept[3].ename, kept[3].evalue, kept[3].traceback) == ("ValueError", "no", ["line 1", "line 2"])


@pytest.mark.req("S4-23")
def test_two_cells_of_one_name_are_told_and_kept(files: Files) -> None:
    cells = [new_code_cell("1", metadata={"name": "load"}), new_markdown_cell("2", metadata={"name": "load"})]
    body = {"type": "notebook", "format": "json", "content": new_notebook(cells=cells)}
    saved = files.client.put(f"{files.base}/api/contents/doubled.ipynb", json=body).json()
    assert "several cells are named 'load'" in saved["message"]
    read = files.client.get(f"{files.base}/api/contents/doubled.ipynb").json()
    assert "several cells are named 'load'" in read["message"]
    assert [cell["metadata"]["name"] for cell in read["content"]["cells"]] == ["load", "load"]
    cells[1].metadata["name"] = "plot"
    body["content"] = new_notebook(cells=cells)
    assert files.client.put(f"{files.base}/api/contents/doubled.ipynb", json=body).json().get("message") is None


@pytest.mark.req("S4-17")
def test_a_raw_cell_for_another_format_is_left_out_of_a_conversion(files: Files) -> None:
    cells = [
        new_raw_cell("<b>for the web</b>", metadata={"format": "text/html"}),
        new_raw_cell("\\textbf{for paper}", metadata={"format": "text/latex"}),
        new_raw_cell("for all"),
    ]
    _through(files, new_notebook(cells=cells), "raw.ipynb")
    page = files.client.get(f"{files.base}/nbconvert/html/raw.ipynb", timeout=60)
    assert page.status_code == 200, page.text
    assert "<b>for the web</b>" in page.text
    assert "for all" in page.text
    assert "for paper" not in page.text


@pytest.mark.req("S4-19", "S4-26")
def test_notebooks_and_kernelspecs_are_at_hand_inside_a_session(files: Files) -> None:
    command = """
import json, nbformat, subprocess, sys
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbformat.sign import NotebookNotary
made = new_notebook(metadata={"authors": [{"name": "Ana"}]}, cells=[new_markdown_cell("hi")])
made.cells.append(new_code_cell("1", outputs=[new_output("stream", text="one")]))
nbformat.write(made, "made.ipynb")
back = nbformat.read("made.ipynb", as_version=4)
assert isinstance(back, nbformat.NotebookNode) and NotebookNotary
specs = subprocess.run(["jupyter", "kernelspec", "list", "--json"], check=True, capture_output=True).stdout
print(json.dumps([back.metadata.authors[0].name, sorted(json.loads(specs)["kernelspecs"])]))
"""
    kernel = start_kernel(files.client, files.base.rpartition("/")[2])
    with channels(files.client, files.base.rpartition("/")[2], kernel) as socket:
        assert json.loads(execute(socket, command)) == ["Ana", ["python3"]]


@pytest.mark.req("S0-115", "S2-30")
def test_each_save_of_a_notebook_keeps_a_version_that_comes_back(files: Files, platform: Platform) -> None:
    first = new_notebook(cells=[new_code_cell("1")])
    for source in ("1", "2"):
        first.cells[0].source = source
        files.save("versioned.ipynb", first)
    newest, oldest = platform.json("version", "notebook-format", "versioned.ipynb")
    assert (newest["is_current"], oldest["is_current"]) == (True, False)
    platform.run("files", "restore", "notebook-format:versioned.ipynb", oldest["id"])
    assert files.load("versioned.ipynb")["cells"][0]["source"] == "1"


@pytest.mark.req("S4-29")
def test_programs_that_begin_with_jupyter_are_its_subcommands_in_a_session(files: Files) -> None:
    command = """
import os, pathlib, subprocess
folder = pathlib.Path("more")
folder.mkdir(exist_ok=True)
program = folder / "jupyter-greet"
program.write_text('#!/bin/sh\\necho "hello $1"\\n')
program.chmod(0o755)
env = {**os.environ, "PATH": f"{folder.resolve()}:{os.environ['PATH']}"}
print(subprocess.run(["jupyter", "greet", "ana"], check=True, capture_output=True, text=True, env=env).stdout)
print("greet" in subprocess.run(["jupyter", "--help"], check=True, capture_output=True, text=True, env=env).stdout)
"""
    session = files.base.rpartition("/")[2]
    with channels(files.client, session, start_kernel(files.client, session)) as socket:
        assert execute(socket, command).split() == ["hello", "ana", "True"]


@pytest.mark.browser
@pytest.mark.req("S4-21")
def test_a_cell_that_must_stay_cannot_be_deleted_in_the_editor(
    files: Files, platform: Platform, chromium: Browser
) -> None:
    cells = [new_code_cell("stays", metadata={"deletable": False}), new_code_cell("goes")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    _through(files, new_notebook(cells=cells, metadata=kernel), "notebooks/stays.ipynb")
    context = sign_in(chromium, platform)
    page = context.new_page()
    page.goto(f"{platform.address}/go/{files.base.rpartition('/')[2]}")
    page.wait_for_url("**/lab**", timeout=60_000, wait_until="commit")
    open_notebook(page, "stays.ipynb")
    shown = page.locator(".jp-Notebook .jp-Cell")
    expect(shown).to_have_count(2)
    for _ in range(2):
        shown.first.locator(".jp-InputPrompt").click()
        page.keyboard.press("d")
        page.keyboard.press("d")
    expect(shown).to_have_count(2)
    shown.nth(1).locator(".jp-InputPrompt").click()
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(shown).to_have_count(1)
    expect(shown.first).to_contain_text("stays")
    context.close()
