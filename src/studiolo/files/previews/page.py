"""The document around a preview, and the small parts that several kinds share."""

import functools
import re
from pathlib import Path

from studiolo.contract.sizes import describe_size
from studiolo.files.previews.cleaning import clean, text

_HERE = Path(__file__).parent
# The pages' own colours: a preview is seen among them.
_TOKENS = _HERE.parents[1] / "server" / "web" / "static" / "tokens.css"
_FONT_FACES = re.compile(r"@font-face \{[^}]*\}\n")


def document(body: str, *, facts: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> str:
    """Return the whole document of a preview; everything in `body` is cleaned here, as the last step.

    `facts` (size, rows, …) stand above it, `notes` (what was left out) too; both are plain text.
    """
    line = f'<p class="facts">{" · ".join(map(text, facts))}</p>' if facts else ""
    said = "".join(f'<p class="note">{text(note)}</p>' for note in notes)
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Preview</title><style>{style()}</style></head><body>{line}{said}{clean(body)}</body></html>"
    )


def notice(heading: str, *lines: str, facts: tuple[str, ...] = ()) -> str:
    """Return the document for what has no preview: what is so, and what to do."""
    said = "".join(f"<p>{text(line)}</p>" for line in lines)
    return document(f'<div class="notice"><h1>{text(heading)}</h1>{said}</div>', facts=facts)


def too_large(what: str, size: int, limit: int) -> str:
    """Return the document for a file of which no preview is made because of its size."""
    return notice(
        f"This {what} is too large for a preview.",
        f"It has {describe_size(size)}; previews are made up to {describe_size(limit)}.",
        "Download it, or open it in JupyterLab.",
    )


@functools.cache
def style() -> str:
    """Return the style sheet of previews: the pages' colours, and how content looks in them."""
    tokens = _FONT_FACES.sub("", _TOKENS.read_text(encoding="utf-8"))
    return tokens + (_HERE / "preview.css").read_text(encoding="utf-8")
