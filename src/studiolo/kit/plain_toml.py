"""TOML that people bring: as `tomllib` reads it, but for keys of very many parts.

For a key `a.b.c…` the standard library keeps each of its beginnings: half a megabyte of it takes all memory there is.
"""

import re
import tomllib
from typing import Any

_MOST_DOTS = 32
# What TOML is made of, so that strings and comments are passed as a whole; what is left open goes to the end.
_PIECES = re.compile(
    r"""
    (?P<passed> \#[^\n]* | [ \t]+
      | \"\"\"(?s:[^\\]|\\.)*?(?:\"{3,5}|\Z) | '''(?s:.)*?(?:'{3,5}|\Z)
      | "(?:[^"\\\n]|\\.)*+"? | '[^'\n]*+'?
      | [A-Za-z0-9_-]+ )
  | (?P<dot> \. )
  | (?P<other> (?s:.) )
    """,
    re.VERBOSE,
)


def read_toml(text: str) -> dict[str, Any]:
    """Return a document. Raises ValueError for one that is none, RecursionError for one that is nested too deep."""
    dots = 0
    for piece in _PIECES.finditer(text):
        if piece.lastgroup == "dot":
            dots += 1
            if dots > _MOST_DOTS:
                raise tomllib.TOMLDecodeError(f"a key has more than {_MOST_DOTS} parts")
        elif piece.lastgroup == "other":
            dots = 0
    return tomllib.loads(text)
