"""Kernels' output on our own pages: readable, bounded, and nothing in it can act."""

import base64

import pytest

from studiolo.kit.clock import SystemClock
from studiolo.server.web.kernel_output import plain, show
from studiolo.server.web.render import environment

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def stream(text: str | list[str]) -> dict[str, object]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def display(**data: object) -> dict[str, object]:
    names = {name.replace("_", "/"): value for name, value in data.items()}
    return {"output_type": "display_data", "data": names, "metadata": {}}


def test_text_is_shown_as_a_terminal_leaves_it() -> None:
    assert plain("\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\r\nend\x07") == "red\n100%\nend"
    assert [part.text for part in show([stream(["a\n", "b\n"])])] == ["a\nb\n"]


def test_an_error_shows_its_trace_without_colours() -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "no", "traceback": ["\x1b[31mE\x1b[0m", "no"]}
    assert [(part.kind, part.text) for part in show([error])] == [("error", "E\nno")]


def test_a_picture_is_shown_with_its_words() -> None:
    (part,) = show([display(image_png=PNG, text_plain="<Figure>")])
    assert (part.kind, part.text, part.source) == ("picture", "<Figure>", f"data:image/png;base64,{PNG}")


@pytest.mark.parametrize(
    "output",
    [
        display(text_html="<script>alert(1)</script>", text_plain="safe"),
        display(application_javascript="alert(1)"),
        display(image_png='"onerror="alert(1)'),
        {"output_type": "execute_result", "data": ["<b>"]},
        {"output_type": "error", "traceback": "<script>"},
        {"output_type": "<script>"},
        stream("<script>alert(1)</script>"),
        display(text_plain={"a": 1}),
    ],
)
def test_nothing_active_reaches_a_page(output: dict[str, object]) -> None:
    template = environment(SystemClock()).from_string(
        '{% from "kernel_output.html" import outputs %}{{ outputs(shown, "Cell") }}'
    )
    page = template.render(shown=show([output]))
    assert "<script" not in page
    assert "onerror" not in page or "&#34;" in page


def test_very_long_output_shows_its_end_and_says_what_is_missing() -> None:
    first, last = show([stream("x" * 30_000 + "end")])
    assert first.text == "10,003 earlier characters are not shown here."
    assert last.text.endswith("xend")
    many = show([stream("a")] * 150)
    assert len(many) == 101
    assert many[0].text == "50 earlier outputs are not shown here."
