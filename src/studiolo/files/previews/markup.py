"""Markdown, code and other text."""

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from studiolo.contract.sizes import describe_size
from studiolo.files.previews.cleaning import text
from studiolo.files.previews.page import document


def render_markdown(content: bytes) -> str:
    """Return the document of a Markdown file."""
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    html = MarkdownWithMath(renderer=renderer).render(_decoded(content))
    return document(f'<div class="prose">{html}</div>', facts=(describe_size(len(content)),))


def render_text(head: bytes, size: int, name: str) -> str:
    """Return the document of text or code; `head`: what was read of its `size` bytes."""
    source = _decoded(head)
    is_whole = size <= len(head)
    count = len(source.splitlines())
    lines = ("1 line" if count == 1 else f"{count:,} lines") if is_whole else ""
    facts = tuple(filter(None, (describe_size(size), lines)))
    cut = f"The first {describe_size(len(head))} of {describe_size(size)} are shown. Download has all of it."
    notes = () if is_whole else (cut,)
    try:
        lexer = get_lexer_for_filename(name)
    except ClassNotFound:
        lexer = TextLexer()
    if isinstance(lexer, TextLexer):
        return document(f"<pre>{text(source)}</pre>", facts=facts, notes=notes)
    return document(highlight(source, lexer, HtmlFormatter()), facts=facts, notes=notes)


def looks_like_text(head: bytes) -> bool:
    """Tell whether the beginning of a file reads as text: no zero bytes, and UTF-8 but for a cut end."""
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as exc:
        return exc.start >= len(head) - 3 and len(head) > 3
    return True


def _decoded(content: bytes) -> str:
    return content.decode("utf-8-sig", errors="replace")
