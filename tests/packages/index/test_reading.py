"""Pages of other indexes: read as the usual parser reads them, and whatever they hold."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypi_simple import ProjectPage

from packages.index.stage import JSON
from studiolo.packages.index.projects import split_file
from studiolo.packages.index.reading import read_page

URL = "https://index.example/simple/a-lib/"
DIGEST = "a" * 64
HTML = f"""<!DOCTYPE html><html><head><meta name="pypi:project-status" content="archived"></head><body>
<a href="../../f/a_lib-1.0-py3-none-any.whl#sha256={DIGEST}" data-requires-python="&gt;=3.9" data-yanked="too &amp; old"
   data-core-metadata="sha256={DIGEST}" data-upload-time="2026-05-03T12:00:00Z">a_lib-1.0-py3-none-any.whl</a><br>
<A HREF='https://files.example/a-lib-1.1.tar.gz' data-yanked>a-lib-1.1.tar.gz</A>
<a href="http://files.example/a_lib-1.2-py3-none-any.whl">a_lib-1.2-py3-none-any.whl</a>
<a href="file:///etc/a_lib-1.3-py3-none-any.whl">a_lib-1.3-py3-none-any.whl</a>
<a href="/f/other-1.0-py3-none-any.whl">other-1.0-py3-none-any.whl</a> <a href="/f/a_lib-1.0.exe">a_lib-1.0.exe</a>
</body></html>"""


def read(body: str | bytes, media_type: str = "text/html") -> Any:
    return read_page(
        "a-lib", "defaults", body.encode() if isinstance(body, str) else body, media_type=media_type, url=URL
    )


def test_html_is_read_as_the_usual_parser_reads_it() -> None:
    ours = {file.name: file for file in read(HTML).files}
    theirs = {file.filename: file for file in ProjectPage.from_html("a-lib", HTML, URL).packages}
    assert list(ours) == ["a_lib-1.0-py3-none-any.whl", "a-lib-1.1.tar.gz"]
    for name, file in ours.items():
        usual = theirs[name]
        assert (file.url, file.version, file.requires_python) == (usual.url, usual.version, usual.requires_python)
        assert (file.sha256, file.yanked) == (usual.digests.get("sha256"), usual.yanked_reason)
        assert bool(file.metadata) == bool(usual.has_metadata)


def test_html_says_more_than_the_usual_parser_reads() -> None:
    project = read(HTML)
    assert (project.status, project.files[0].uploaded_at) == ("archived", "2026-05-03T12:00:00Z")


def test_both_formats_say_the_same() -> None:
    wheel = {
        "filename": "a_lib-1.0-py3-none-any.whl",
        "url": "../../f/a_lib-1.0-py3-none-any.whl",
        "hashes": {"sha256": DIGEST},
        "requires-python": ">=3.9",
        "yanked": "too & old",
        "core-metadata": {"sha256": DIGEST},
        "upload-time": "2026-05-03T12:00:00Z",
    }
    sdist = {"filename": "a-lib-1.1.tar.gz", "url": "https://files.example/a-lib-1.1.tar.gz", "yanked": True}
    page = {"meta": {"api-version": "1.4"}, "files": [wheel, sdist], "project-status": {"status": "archived"}}
    found = read(json.dumps(page), JSON)
    assert (found.files, found.status) == (read(HTML).files, "archived")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ("{}", JSON),
        ("[]", JSON),
        ('{"meta": {"api-version": "2.0"}, "files": []}', JSON),
        ("no page", "image/png"),
        ("{", JSON),
    ],
)
def test_what_is_no_page_is_an_error(body: str, media_type: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(body, media_type)


@given(st.text(alphabet="<a href=\"'>/#sha256&; \n", max_size=300))
def test_no_html_breaks_the_reader(text: str) -> None:
    assert read(text).files == ()


def test_hostile_html_costs_no_more_than_its_length() -> None:
    began = time.process_time()
    for text in ("<a " + "x='" * 200_000, "<a " * 200_000, '<a href="' + "a" * 500_000, "<a x" + "=" * 300_000 + ">"):
        assert read(text).files == ()
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("name", "project", "found"),
    [
        ("a_lib-1.0-py3-none-any.whl", None, ("a-lib", "1.0", True)),
        ("A.Lib-1.0-1-py3-none-any.whl", "a-lib", ("a-lib", "1.0", True)),
        ("a-lib-1.0-rc1.tar.gz", "a-lib", ("a-lib", "1.0-rc1", False)),
        ("a-lib-1.0.zip", "a", ("a", "lib-1.0", False)),
        ("a_lib-1.0-py3-none-any.whl", "other", None),
        ("a_lib-1.0-py3-none.whl", None, None),
        ("../a_lib-1.0-py3-none-any.whl", None, None),
        ("a_lib-1.0.egg", None, None),
    ],
)
def test_a_files_name_says_whose_it_is(name: str, project: str | None, found: object) -> None:
    assert split_file(name, project) == found
