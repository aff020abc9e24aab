"""Notebooks, by nbconvert's basic template."""

import functools
import json
from typing import Any

import nbformat
from nbconvert.exporters.html import HTMLExporter
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters.highlight import Highlight2HTML
from traitlets.config import Config

from studiolo.contract.sizes import describe_size
from studiolo.files.previews import bounds
from studiolo.files.previews.page import document, notice

_IMAGES = "image/"
_CELLS = ("code", "markdown", "raw")
_OUTPUTS = ("stream", "error", "display_data", "execute_result")
_SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]


class _Exporter(HTMLExporter):  # type: ignore[misc]
    """nbconvert without what we do better or do not want: its cleaning of pieces, and a second parse for `alt`."""

    def from_notebook_node(
        self, nb: nbformat.NotebookNode, resources: dict[str, Any] | None = None, **_: Any
    ) -> tuple[str, dict[str, Any]]:
        info = nb.metadata.get("language_info", {})
        lexer = info.get("pygments_lexer", info.get("name", None))
        self.register_filter("highlight_code", Highlight2HTML(pygments_lexer=lexer, parent=self))
        # All of it is cleaned at the end: to clean pieces costs most of the time and makes nothing safer.
        self.register_filter("clean_html", lambda html: html)
        made: tuple[str, dict[str, Any]] = TemplateExporter.from_notebook_node(
            self, nb, self._init_resources(resources or {})
        )
        return made

    def _preprocess(
        self, nb: nbformat.NotebookNode, resources: dict[str, Any]
    ) -> tuple[nbformat.NotebookNode, dict[str, Any]]:
        """Leave the notebook as it is: to copy and validate it takes long, and refuses what can be shown."""
        return nb, resources


def render(content: bytes) -> str:
    """Return the document of a notebook's content (bytes of its file)."""
    try:
        notebook = _read(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        return notice("This is no notebook that can be read.", f"{type(exc).__name__}: {str(exc)[:200]}")
    left_out = _Clipping().clip(notebook)
    body, _ = _exporter().from_notebook_node(notebook)
    language = notebook.metadata.get("kernelspec", {}).get("display_name") or "no kernel named"
    facts = (f"{len(notebook.cells)} cells", str(language)[:80], describe_size(len(content)))
    return document(body, facts=facts, notes=left_out)


def prepare() -> None:
    """Load and compile what a first notebook needs."""
    sample = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("stream", name="stdout", text="1")
    sample.cells = [nbformat.v4.new_markdown_cell("*a* $b$"), nbformat.v4.new_code_cell("1", outputs=[output])]
    sample.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    render(nbformat.writes(sample).encode())


@functools.cache
def _exporter() -> _Exporter:
    settings = {
        "template_name": "basic",
        # A picture that a text names is another file, or another site's: neither is read here.
        "embed_images": False,
        "exclude_anchor_links": True,
    }
    return _Exporter(config=Config({"HTMLExporter": settings, "NbConvertBase": {"display_data_priority": _SHOWN}}))


def _read(content: bytes) -> nbformat.NotebookNode:
    plain = json.loads(content)
    if not isinstance(plain, dict) or not isinstance(plain.get("nbformat"), int):
        raise ValueError("the file is JSON, but says no format of notebooks")
    notebook = nbformat.from_dict(plain)
    # Nothing is validated: a preview of a slightly wrong notebook is better than none.
    if plain["nbformat"] < 4:
        notebook = nbformat.convert(notebook, 4)
    for cell in notebook.cells:
        cell.setdefault("metadata", nbformat.NotebookNode())
        cell.source = _joined(cell.get("source", ""))
        if cell.get("cell_type") not in _CELLS:
            cell.cell_type = "raw"
    notebook.setdefault("metadata", nbformat.NotebookNode())
    return notebook


def _is_output(output: Any) -> bool:
    return isinstance(output, dict) and output.get("output_type") in _OUTPUTS


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


class _Clipping:
    """Shortens what cells put out, and counts what it left out."""

    def __init__(self) -> None:
        self._taken = 0
        self._cut = 0
        self._cut_bytes = 0

    def clip(self, notebook: nbformat.NotebookNode) -> tuple[str, ...]:
        """Shorten in place and return what to say about it."""
        for cell in notebook.cells:
            if cell.get("cell_type") == "code":
                outputs = [output for output in cell.get("outputs", []) if _is_output(output)]
                self._cut += max(0, len(outputs) - bounds.MAX_OUTPUTS_OF_CELL)
                cell.outputs = [self._output(output) for output in outputs[: bounds.MAX_OUTPUTS_OF_CELL]]
                cell.setdefault("execution_count", None)
        if not self._cut:
            return ()
        were = "1 output was" if self._cut == 1 else f"{self._cut} outputs were"
        return (f"{were} shortened here by {describe_size(self._cut_bytes)}. The file has all of it.",)

    def _output(self, output: Any) -> Any:
        output.setdefault("metadata", nbformat.NotebookNode())
        output.setdefault("data", nbformat.NotebookNode())
        if output.get("output_type") == "stream":
            output.text = self._text(_joined(output.get("text", "")), bounds.MAX_OUTPUT_TEXT)
        elif output.get("output_type") == "error":
            lines = [_joined(line) for line in output.get("traceback", [])]
            output.traceback = self._text("\n".join(lines), bounds.MAX_OUTPUT_TEXT).split("\n")
        elif isinstance(output.get("data"), dict):
            output.data = nbformat.NotebookNode(self._data(output.data))
        return output

    def _data(self, data: dict[str, Any]) -> dict[str, str]:
        """Keep the one form that is shown, where that is not too large; else the text."""
        for kind in _SHOWN:
            if kind in data:
                value = _joined(data[kind])
                limit = bounds.MAX_OUTPUT_IMAGE if kind.startswith(_IMAGES) else bounds.MAX_OUTPUT_HTML
                if kind == "text/plain":
                    return {kind: self._text(value, bounds.MAX_OUTPUT_TEXT)}
                if len(value) <= limit and self._taken + len(value) <= bounds.MAX_OUTPUTS:
                    self._taken += len(value)
                    return {kind: value}
                self._left(len(value))
                return {"text/plain": f"[{kind}, {describe_size(len(value))}: too large for the preview]"}
        return {"text/plain": f"[{', '.join(map(str, data))}: not shown in previews]"} if data else {}

    def _text(self, value: str, limit: int) -> str:
        limit = max(0, min(limit, bounds.MAX_OUTPUTS - self._taken))
        self._taken += min(len(value), limit)
        if len(value) <= limit:
            return value
        self._left(len(value) - limit)
        return f"{value[:limit]}\n… {describe_size(len(value) - limit)} more"

    def _left(self, amount: int) -> None:
        self._cut += 1
        self._cut_bytes += amount
