"""What kernels put out, as our own pages may show it: text, and pictures that cannot act.

Output is foreign code: HTML, scripts and widgets are shown by JupyterLab only, on a session's own origin. The content
security policy of pages would stop them too; here they do not get as far. Source: nbformat 4.5, outputs.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

# In the order in which one of a bundle is taken.
_PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")
_SVG = "image/svg+xml"
_TEXTS = ("text/plain", "text/markdown", "text/latex", "application/json")
_MOST_CHARACTERS = 20_000
_MOST_PICTURE_CHARACTERS = 3_000_000
_MOST_OUTPUTS = 100
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Shown:
    """One output on a page. `source`: a picture's `data:` address; its `text` describes it."""

    kind: Literal["text", "error", "picture", "note"]
    text: str
    source: str = ""


def show(outputs: Iterable[Mapping[str, Any]]) -> list[Shown]:
    """Return how a page shows a cell's outputs (nbformat's shape), oldest first; of very many the last."""
    shown = [part for output in outputs for part in _show(output)]
    left_out = len(shown) - _MOST_OUTPUTS
    if left_out <= 0:
        return shown
    return [Shown("note", f"{left_out:,} earlier outputs are not shown here."), *shown[left_out:]]


def plain(text: str) -> str:
    """Return text as a terminal would leave it: without colours, and lines that were overwritten."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in _ESCAPES.sub("", text).split("\n"))
    return _INVISIBLE.sub("", "\n".join(lines))


def _show(output: Mapping[str, Any]) -> list[Shown]:
    match output.get("output_type"):
        case "stream":
            return _text(_joined(output.get("text")), "text")
        case "error":
            trace = "\n".join(_joined(line) for line in _as_list(output.get("traceback")))
            return _text(trace or f"{output.get('ename', 'Error')}: {output.get('evalue', '')}", "error")
        case "display_data" | "execute_result":
            data = output.get("data")
            return _bundle(data) if isinstance(data, Mapping) else []
    return []


def _bundle(data: Mapping[str, Any]) -> list[Shown]:
    words = next((_joined(data[kind]) for kind in _TEXTS if kind in data), "")
    for kind in _PICTURES:
        if kind in data:
            return [_picture(kind, "".join(_joined(data[kind]).split()), words)]
    if _SVG in data:
        # Within an image element a browser runs no scripts of it and loads nothing.
        return [_picture(_SVG, base64.b64encode(_joined(data[_SVG]).encode()).decode(), words)]
    if "text/html" in data or not words:
        return [*_text(words, "text"), Shown("note", "Open the notebook to see this as it is meant.")]
    return _text(words, "text")


def _picture(kind: str, encoded: str, words: str) -> Shown:
    if len(encoded) > _MOST_PICTURE_CHARACTERS:
        return Shown("note", f"A picture of {len(encoded) * 3 // 4 / 1e6:.1f} MB: open the notebook to see it.")
    try:
        base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return Shown("note", "A picture that cannot be read.")
    return Shown("picture", plain(words)[:200] or "Picture", f"data:{kind};base64,{encoded}")


def _text(text: str, kind: Literal["text", "error"]) -> list[Shown]:
    # The end is what people look for; cutting comes first, as text may be very long.
    cut = plain(text[-_MOST_CHARACTERS:])
    if not cut.strip():
        return []
    if len(text) <= _MOST_CHARACTERS:
        return [Shown(kind, cut)]
    left_out = len(text) - _MOST_CHARACTERS
    return [Shown("note", f"{left_out:,} earlier characters are not shown here."), Shown(kind, cut)]


def _joined(value: Any) -> str:
    return "".join(part for part in value if isinstance(part, str)) if isinstance(value, list) else str(value or "")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
