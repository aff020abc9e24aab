"""What previews show, and what they never let through."""

import base64
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from studiolo.files.previews import bounds
from studiolo.files.previews.cleaning import clean
from studiolo.files.previews.rendering import render

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>endobj\ntrailer<</Root 1 0 R>>"
)


def shown(folder: Path, name: str, content: bytes) -> str:
    file = folder / name
    file.write_bytes(content)
    with file.open("rb") as opened:
        return render(opened.fileno(), name).partition("<body>")[2]


def notebook(*outputs: nbformat.NotebookNode, source: str = "x = 1", text: str = "# Title") -> bytes:
    code = nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=7)
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), code])
    return nbformat.writes(made).encode()


def test_a_notebook_shows_its_texts_code_and_outputs(tmp_path: Path) -> None:
    picture = nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(PIXEL).decode()})
    page = shown(tmp_path, "a.ipynb", notebook(nbformat.v4.new_output("stream", text="forty-two"), picture))
    assert "<h1>Title</h1>" in page
    assert 'class="n">x</span>' in page
    assert "forty-two" in page
    assert "[7]" in page
    assert 'src="data:image/png;base64,' in page


def test_a_slightly_wrong_notebook_is_shown_all_the_same(tmp_path: Path) -> None:
    wrong = [
        {"cell_type": "strange", "source": 3},
        {
            "cell_type": "code",
            "source": ["x =", " 1"],
            "outputs": [{"output_type": "new"}, 7, {"output_type": "stream"}],
        },
        {"cell_type": "code", "source": "y", "outputs": [{"output_type": "display_data", "data": {"x/y": {"a": 1}}}]},
    ]
    page = shown(tmp_path, "a.ipynb", json.dumps({"nbformat": 4, "cells": wrong}).encode())
    assert "3 cells" in page
    assert "[x/y: not shown in previews]" in page


HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)><iframe src='//evil.test'></iframe>"
    "<a href='javascript:alert(1)'>a</a><a href='data:text/html,x'>b</a><form action='//evil.test'><button>c</button>"
    "</form><style>*{background:url(//evil.test)}</style><link rel=stylesheet href='//evil.test/x.css'>"
    "<img src='http://evil.test/seen.png'><div style='position:fixed;background:url(//evil.test)'>d</div>"
    "<svg onload=alert(1)><script>alert(1)</script></svg><object data='//evil.test'></object><meta http-equiv=refresh>"
)


class Seen(HTMLParser):
    """Tags and attributes of a document: what is escaped is none."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self._attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._attributes += attrs

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._attributes}

    def values(self, of: str) -> list[str]:
        return [value or "" for name, value in self._attributes if name == of]


@pytest.mark.parametrize("where", ["markdown", "html", "svg", "latex", "error", "name", "file"])
def test_nothing_that_acts_or_fetches_is_let_through(where: str, tmp_path: Path) -> None:
    outputs = {
        "html": nbformat.v4.new_output("display_data", {"text/html": HOSTILE}),
        "svg": nbformat.v4.new_output("display_data", {"image/svg+xml": f"<svg>{HOSTILE}</svg>"}),
        "latex": nbformat.v4.new_output("display_data", {"text/latex": HOSTILE}),
        "error": nbformat.v4.new_output("error", ename=HOSTILE, evalue=HOSTILE, traceback=[HOSTILE]),
    }
    if where == "file":
        page = shown(tmp_path, "a.md", HOSTILE.encode())
    elif where == "name":
        page = shown(tmp_path, "a.csv", f"{HOSTILE.replace(',', ' ')}\n1\n".encode())
    else:
        page = shown(tmp_path, "a.ipynb", notebook(*filter(None, [outputs.get(where)]), text=HOSTILE))
    seen = Seen(page)
    assert not seen.tags & {"script", "iframe", "form", "button", "style", "link", "object", "meta", "svg", "base"}
    assert not [name for name in seen.names if name.startswith("on")]
    assert all(address.startswith("data:image/") for address in seen.values("src"))
    assert not [address for address in seen.values("href") if address.startswith(("javascript", "data"))]
    assert not [style for style in seen.values("style") if "url" in style or "position" in style]


def test_links_open_in_a_page_of_their_own() -> None:
    assert clean('<a href="https://example.org">x</a>') == (
        '<a href="https://example.org" target="_blank" rel="noopener noreferrer">x</a>'
    )


def test_a_long_output_is_cut_and_says_how_much_is_missing(tmp_path: Path) -> None:
    page = shown(tmp_path, "a.ipynb", notebook(nbformat.v4.new_output("stream", text="x" * (bounds.MIB + 65536))))
    assert len(page) < 200_000
    assert "1 output was shortened here by 1 MiB" in page
    assert "1 MiB more" in page


@pytest.mark.parametrize("content", [b"{}", b"[1]", b"not json", b'{"nbformat": 4, "cells": 3}', b"[" * 100_000])
def test_a_broken_notebook_is_called_broken(content: bytes, tmp_path: Path) -> None:
    assert "This is no notebook that can be read." in shown(tmp_path, "a.ipynb", content)


def test_a_notebook_of_200_mb_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "a.ipynb"
    with file.open("wb+") as opened:
        opened.truncate(200 * bounds.MIB)
        page = render(opened.fileno(), "a.ipynb")
    assert "This notebook is too large for a preview." in page
    assert "200 MiB" in page
    assert "50 MiB" in page


def test_csv_shows_types_rows_and_rows_that_do_not_fit(tmp_path: Path) -> None:
    page = shown(tmp_path, "a.csv", b"n;when;word\n1;2026-01-02;a\n2;2026-01-03;<b>\n3;x\n")
    assert "int64" in page
    assert "date32[day]" in page
    assert "&lt;b&gt;" in page
    assert "first 2 of 3 rows" in page
    assert "1 rows have another number of columns" in page


def test_a_long_csv_shows_its_first_hundred_rows(tmp_path: Path) -> None:
    page = shown(tmp_path, "a.tsv", b"a\tb\n" + b"1\t2\n" * 5000)
    assert "first 100 of 5,000 rows" in page
    assert page.count("<tr>") == 101


def test_parquet_shows_its_first_rows_and_a_broken_one_says_so(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"n": range(1000), "deep": [[1, 2]] * 1000}), tmp_path / "b.parquet")
    page = shown(tmp_path, "a.parquet", (tmp_path / "b.parquet").read_bytes())
    assert "first 100 of 1,000 rows" in page
    assert "[1, 2]" in page
    assert "This Parquet file cannot be read." in shown(tmp_path, "c.parquet", b"PAR1 and no more PAR1")


def test_pictures_and_pages_are_shown_as_data(tmp_path: Path) -> None:
    assert "1 by 1 pixels" in shown(tmp_path, "a.png", PIXEL)
    assert '<img class="picture' not in shown(tmp_path, "a.svg", b"<svg onload='alert(1)'/>")
    assert 'src="data:image/svg+xml;base64,' in shown(tmp_path, "a.svg", b"<svg onload='alert(1)'/>")
    page = shown(tmp_path, "a.pdf", PDF)
    assert "1 page" in page
    assert 'alt="Page 1"' in page
    assert "This PDF cannot be read." in shown(tmp_path, "b.pdf", b"%PDF-1.4 and no more")


def test_code_is_coloured_and_of_long_text_the_beginning_is_shown(tmp_path: Path) -> None:
    assert '<span class="k">def</span>' in shown(tmp_path, "a.py", b"def f(): pass\n")
    page = shown(tmp_path, "a.log", b"a line\n" * 200_000)
    assert "The first 512 KiB of 1.3 MiB are shown." in page


def test_what_has_no_preview_says_what_it_is(tmp_path: Path) -> None:
    assert "There is no preview of this bin file." in shown(tmp_path, "a.bin", os.urandom(64) + b"\0")
    assert "This file is empty." in shown(tmp_path, "a.csv", b"")
