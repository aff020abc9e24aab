"""Names of packages: canonical forms of both ecosystems, and names that look alike.

`key` is the one form in which rules and packages are compared, whatever the ecosystem: two spellings that PEP 503 takes
for one project have one key, and so have a conda package and the project that it packs.
"""

import re
from functools import lru_cache

from studiolo.packages.policy.decisions import Ecosystem

_PYPI = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]", re.ASCII)
_CONDA = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_SEPARATORS = re.compile(r"[-_.]+")
_LONGEST = 200
# Shorter names are each other's neighbours by chance: six and sip, rich and ruch.
_SHORTEST_FOR_DISTANCE = 5
_FOLDED = str.maketrans({"0": "o", "1": "l", "i": "l"})


def canonical(ecosystem: Ecosystem, text: str) -> str:
    """Return the canonical name: PEP 503 for `pypi`; lower case for `conda`, whose separators differ.

    Raises ValueError, with words for people, for what is no name there.
    """
    name = text.strip()
    pattern = _PYPI if ecosystem == "pypi" else _CONDA
    if len(name) > _LONGEST or not pattern.fullmatch(name):
        raise ValueError(f"{text[:60]!r} is no name of a package: ASCII letters, digits, '-', '_' and '.' only")
    return _SEPARATORS.sub("-", name).lower() if ecosystem == "pypi" else name.lower()


def key(name: str) -> str:
    """Return what two names must share to be one package for a policy."""
    return _SEPARATORS.sub("-", name).lower()


def skeleton(name: str) -> str:
    """Return the name as a hasty eye reads it: no separators, `0` as `o`, `1` and `i` as `l`."""
    return _SEPARATORS.sub("", name).lower().translate(_FOLDED)


@lru_cache(maxsize=20_000)
def find_look_alike(name: str, protected: tuple[str, ...]) -> str | None:
    """Return the first of `protected` that `name` could be mistaken for and is not, else None.

    Alike are names with one skeleton, and, from five signs on, names that one slip apart: a sign more, less, other, or
    two exchanged.
    """
    own, drawn = key(name), skeleton(name)
    for other in protected:
        theirs = key(other)
        if own == theirs:
            continue
        if drawn == skeleton(other):
            return other
        if min(len(own), len(theirs)) >= _SHORTEST_FOR_DISTANCE and is_one_slip_apart(own, theirs):
            return other
    return None


def is_one_slip_apart(one: str, other: str) -> bool:
    """Tell whether the two differ by one sign more, less or other, or by two neighbours exchanged."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1 or short == long:
        return False
    start = next((n for n, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    rest_short, rest_long = short[start:], long[start:]
    if len(short) < len(long):
        return rest_short == rest_long[1:]
    exchanged = rest_short[:2] == rest_long[1::-1] and rest_short[2:] == rest_long[2:]
    return rest_short[1:] == rest_long[1:] or exchanged
