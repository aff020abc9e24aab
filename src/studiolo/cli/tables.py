"""Tables in plain text: columns padded, shortened to the terminal, the state coloured where that is wanted."""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from studiolo.cli.output import STATES, harmless, say

_GAP = "  "
_NARROWEST = 6


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print rows under headers; `empty` goes to stderr when there are none.

    A column whose header ends in "!" is never shortened. Where stdout is no terminal, none is.
    """
    listed = [list(row) for row in rows]
    if not listed:
        say(empty)
        return
    for line in layout(headers, listed, width=terminal_width(), colour=wants_colour()):
        print(line)


def layout(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None, colour: bool = False
) -> list[str]:
    """Return the lines of a table, at most `width` cells wide as far as columns may be shortened."""
    names = [header.removesuffix("!") for header in headers]
    table = [names, *([harmless(text) for text in row] for row in rows)]
    widths = [max(cell_len(row[index]) for row in table) for index in range(len(names))]
    if width is not None:
        may_shrink = [not header.endswith("!") for header in headers]
        widths = _fit(widths, may_shrink, width - len(_GAP) * (len(names) - 1))
    lines = [_GAP.join(_cell(*pair) for pair in zip(row, widths, strict=True)).rstrip() for row in table]
    return [_coloured(line) for line in lines] if colour else lines


def terminal_width() -> int | None:
    """Return the columns of the terminal; None where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wants_colour() -> bool:
    """Tell whether stdout may be coloured. Source: no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _fit(widths: list[int], may_shrink: list[bool], room: int) -> list[int]:
    """Take from the widest column that may be shortened, one cell at a time."""
    fitted = list(widths)
    while sum(fitted) > room:
        over = [i for i, may in enumerate(may_shrink) if may and fitted[i] > _NARROWEST]
        if not over:
            break
        fitted[max(over, key=lambda i: fitted[i])] -= 1
    return fitted


def _cell(text: str, width: int) -> str:
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _coloured(line: str) -> str:
    for state, (shape, code) in STATES.items():
        line = line.replace(f"{shape} {state}", f"\x1b[{code}m{shape} {state}\x1b[0m")
    return line
