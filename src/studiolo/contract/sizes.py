"""One parser for amounts of memory and disk, on every door: `8g`, `16Gi`, `512M`, bytes as a number."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b?)\s*", re.IGNORECASE)
_EXPONENT = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LARGEST = 1024**6
RULE = "a number and a unit such as 512M, 8g or 16Gi; all units are binary (8g is 8 GiB)"


def parse_size(value: Any) -> int:
    """Return bytes; a bare number is bytes. Units are binary, as container tools take them (decision A-10).

    Raises ValueError with the rule for zero, negative and unreadable values.
    """
    if isinstance(value, bool):
        raise ValueError(f"a size is {RULE}")
    if isinstance(value, int | float):
        size = int(value) if value == value and abs(value) < _LARGEST else 0
    else:
        found = _SIZE.fullmatch(str(value)) if len(str(value)) <= 40 else None
        if found is None:
            raise ValueError(f"{str(value)[:40]!r} is no size: write {RULE}")
        size = int(float(found[1]) * 1024 ** _EXPONENT[found[2].lower()])
    if not 0 < size < _LARGEST:
        raise ValueError(f"{str(value)[:40]!r} is no size: it must be more than nothing and less than an exbibyte")
    return size


def format_size(size: int) -> str:
    """Return the exact amount in the largest unit that divides it (`16Gi`), for files and commands."""
    unit = ""
    for name in "KMGTP":
        if size % 1024 or size == 0:
            break
        size, unit = size // 1024, f"{name}i"
    return f"{size}{unit}"


def describe_size(size: float) -> str:
    """Return a rounded amount for people: `7.4 GiB`, `512 MiB`."""
    unit = "B"
    for name in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024:
            break
        size, unit = size / 1024, name
    return f"{size:.0f} {unit}" if size >= 100 or size == int(size) else f"{size:.1f} {unit}"


def used_of(used: float | None, limit: int | None) -> str:
    """Return memory as `7.4 of 16 GiB`, without a limit `7.4 GiB`, not known a dash."""
    if used is None:
        return "\N{EN DASH}"
    if limit is None:
        return describe_size(used)
    amount, unit = describe_size(used).rsplit(" ", 1)
    whole, whole_unit = describe_size(limit).rsplit(" ", 1)
    return f"{amount}{'' if unit == whole_unit else f' {unit}'} of {whole} {whole_unit}"


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}],
            "description": f"Bytes, or {RULE}. Replies hold bytes.",
            "examples": ["8g", "16Gi", 8589934592],
        }
    ),
]
