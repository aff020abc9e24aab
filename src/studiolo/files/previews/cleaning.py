"""The last step of every preview: HTML with nothing in it that acts."""

from html import escape

import nh3

_TAGS = nh3.ALLOWED_TAGS | {"input", "figure", "figcaption", "section", "details", "summary", "mark", "s", "u", "small"}
_CELL = {"colspan", "rowspan", "align", "scope"}
_ATTRIBUTES = {
    "*": {"class", "title", "style", "dir", "lang"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": _CELL,
    "th": _CELL,
    "ol": {"start"},
    "details": {"open"},
}
_STYLES = {"color", "background-color", "text-align", "font-weight", "font-style", "text-decoration", "white-space"}


def clean(html: str) -> str:
    """Return `html` without scripts, forms, frames, handlers and addresses that do or fetch anything.

    Pictures are `data:` or left out; links are http, https, mailto or relative, and open in a page of their own.
    """
    return _CLEANER.clean(html)


def text(value: object) -> str:
    """Return a value as text for HTML, attributes included."""
    return escape(str(value), quote=True)


def _address(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "src":
        # `data:image/svg+xml` in an <img> runs no scripts and fetches nothing.
        return value if value.startswith("data:image/") else None
    return None if attribute == "href" and value.lstrip().lower().startswith("data:") else value


_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags={"script", "style", "title", "noscript", "template"},
    attributes=_ATTRIBUTES,
    attribute_filter=_address,
    tag_attribute_values={"input": {"type": {"checkbox"}, "disabled": {"", "disabled"}, "checked": {"", "checked"}}},
    set_tag_attribute_values={"a": {"target": "_blank"}, "input": {"disabled": ""}},
    url_schemes={"http", "https", "mailto", "data"},
    filter_style_properties=_STYLES,
)
