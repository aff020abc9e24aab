"""One parser for lengths of time, on every door: `8h`, `1h 30m`, `90 minutes`, `PT8H`, seconds as a number."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError, WithJsonSchema

_PART = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]*)", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_WORDS = {"": "s", "sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d"}
_LONGEST = 366 * 86_400
_ISO: TypeAdapter[timedelta] = TypeAdapter(timedelta)
RULE = "a number and a unit such as 90m, 8h or 2d; a number alone is seconds"


def read_words(text: str) -> timedelta | None:
    """Return the length that words such as `1h 30m` or `2 days` say; None if these are no such words."""
    seconds, at = 0.0, 0
    while at < len(text.rstrip()):
        part = _PART.match(text, at)
        unit = _WORDS.get(part[2].lower().rstrip("s"), part[2].lower()) if part else ""
        if part is None or unit not in _UNITS or part.end() == at:
            return None
        seconds, at = seconds + float(part[1]) * _UNITS[unit], part.end()
    return timedelta(seconds=seconds) if at else None


def parse_seconds(value: Any) -> int:
    """Return whole seconds; ISO 8601 (`PT8H`) and `08:30:00` are read too.

    Raises ValueError with the rule for what is unreadable, not more than nothing, or longer than a year.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | timedelta):
        raise ValueError(f"a length of time is {RULE}")
    shown = repr(str(value)[:40])
    try:
        length = (read_words(value) if isinstance(value, str) and len(value) <= 40 else None) or (
            timedelta(seconds=value) if isinstance(value, int | float) else _ISO.validate_python(value)
        )
    except (ValidationError, OverflowError, ValueError) as exc:
        raise ValueError(f"{shown} is no length of time: write {RULE}") from exc
    if not 0 < length.total_seconds() <= _LONGEST:
        raise ValueError(f"{shown} is no length of time: it must be more than nothing and at most a year")
    return max(1, round(length.total_seconds()))


def format_seconds(seconds: int) -> str:
    """Return the exact length in the largest unit that divides it (`8h`, `90m`), for files and commands."""
    unit = next(name for name in ("d", "h", "m", "s") if seconds % _UNITS[name] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def describe_seconds(seconds: float) -> str:
    """Return a length for people, in its two largest units: `8 h`, `1 h 30 min`, `45 s`."""
    left, said = round(seconds), list[str]()
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {word}")
    return " ".join(said[:2]) or "0 s"


Seconds = Annotated[
    int,
    BeforeValidator(parse_seconds),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}],
            "description": f"Seconds, or {RULE}. Replies hold seconds.",
            "examples": ["8h", 28800],
        }
    ),
]
